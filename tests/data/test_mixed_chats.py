"""Texts and chats of one run are written alike, and nobody writes a control token into either."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.intake import open_sources, read_sources
from pipeline.params.schema import Params
from pipeline.preferences.given import given_records
from tests.reading.test_templates import CHATML
from tests.tiny_models import byte_level_tokenizer, changed

Rows = list[dict[str, Any]]
ANSWERS = {"chosen": "yes", "rejected": "no"}
PLAIN: Rows = [
    {"prompt": f"Plain {at}?", **{name: f"{answer} {at}" for name, answer in ANSWERS.items()}} for at in range(20)
]
CHATS: Rows = [
    {
        "prompt": [{"role": "user", "content": f"Chat {at}?"}],
        **{name: [{"role": "assistant", "content": f"{answer} {at}"}] for name, answer in ANSWERS.items()},
    }
    for at in range(20)
]
TRANSCRIPTS: Rows = [
    {name: f"\n\nHuman: Old {at}?\n\nAssistant: {answer} {at}" for name, answer in ANSWERS.items()} for at in range(20)
]
TEXTS: Rows = [{"text": " ".join(f"word{row}-{at}" for at in range(60)), "label": row % 2} for row in range(20)]
START, TURN = "<|im_start|>user\n", "</s>\n<|im_start|>assistant\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params) -> Callable[..., Any]:
    """Prepares sources for a policy with a template, or without."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "policy").mkdir()
    tokenizer = byte_level_tokenizer()

    def prepared(*sources: Rows, template: str | None = CHATML, chat_format: str = "auto") -> Any:
        tokenizer.chat_template = template
        tokenizer.save_pretrained(tmp_path / "policy")
        for number, rows in enumerate(sources):
            (tmp_path / f"data/raw/{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        limits = dict.fromkeys(params.data.limits.model_dump(), 0)
        columns = dict.fromkeys(params.data.columns.model_dump())
        splits = {**dict.fromkeys(params.data.splits.model_dump(), 0.0), "sft": 0.5, "train": 0.5}
        data = changed(
            params.data, source="data/raw", format="auto", columns=columns, limits=limits, splits=splits,
            label_coding={"wanted": [1], "unwanted": [0]},
            chat_format=chat_format,
        )  # fmt: skip
        return read_sources(open_sources(data), tmp_path / "policy", seed=0)

    return prepared


def test_plain_prompts_transcripts_and_texts_beside_chats_are_turns(run: Callable[..., Any]) -> None:
    prepared, style = run(PLAIN, CHATS, TRANSCRIPTS, TEXTS)
    assert style.name == "template" and style.written
    prompts = [
        row["prompt"] for row in [*given_records(prepared.paired), *prepared.texts["train"], *prepared.prompts["train"]]
    ]
    assert {prompt.removeprefix(START).split()[0][:4] for prompt in prompts} == {"Plai", "Chat", "Old", "word"}
    assert all(prompt.startswith(START) and prompt.endswith(TURN) for prompt in prompts)
    assert {pair["chosen"].split()[0] for pair in given_records(prepared.paired)} == {"yes"}
    assert all("Human:" not in prompt for prompt in prompts)


def test_the_order_of_the_sources_does_not_matter(run: Callable[..., Any]) -> None:
    one, _ = run(PLAIN, CHATS)
    other, _ = run(CHATS, PLAIN)
    assert {pair["prompt"] for pair in given_records(one.paired)} == {
        pair["prompt"] for pair in given_records(other.paired)
    }


def test_without_a_template_all_are_transcripts(run: Callable[..., Any]) -> None:
    prepared, style = run(PLAIN, CHATS, TRANSCRIPTS, template=None)
    assert style.name == "transcript"
    for pair in given_records(prepared.paired):
        assert pair["prompt"].startswith("\n\nHuman: ") and pair["prompt"].endswith("?\n\nAssistant:")
        assert pair["chosen"].startswith(" yes")


def test_texts_alone_stay_as_they_are_unless_the_template_is_asked_for(run: Callable[..., Any]) -> None:
    prepared, style = run(PLAIN)
    assert not style.written and all(pair["prompt"].startswith("Plain") for pair in given_records(prepared.paired))
    prepared, style = run(PLAIN, chat_format="template")
    assert style.written and all(pair["prompt"].startswith(START) for pair in given_records(prepared.paired))


@pytest.mark.parametrize("template", [CHATML, None])
@pytest.mark.parametrize("beside", [[], CHATS])
def test_control_tokens_of_the_policy_are_refused_in_every_source(
    template: str | None, beside: Rows, run: Callable[..., Any]
) -> None:
    bad = "Hello</s>\nthere"
    planted = [
        [{"prompt": bad, "chosen": "yes", "rejected": "no"}, {"prompt": "Hi?", "chosen": "yes", "rejected": bad}],
        [{"prompt": bad}],
        [{"prompt": "Go on?", "response": bad}],
        [{**TEXTS[0], "text": f"{bad} {TEXTS[0]['text']}"}],
    ]
    good: list[Rows] = [PLAIN, [{"prompt": "x"}], [{"prompt": "x", "response": "y"}], TEXTS]
    sources = [[*fine, *rows] for fine, rows in zip(good, planted, strict=True)]
    prepared, _ = run(*sources, *([beside] if beside else []), template=template)
    assert prepared.counts["dropped.control_token_in_text"] == sum(map(len, planted))
    uses = (prepared.texts, prepared.labels, prepared.prompts)
    kept = json.dumps(
        [list(rows) for rows in (given_records(prepared.paired), *(part for use in uses for part in use.values()))]
    )
    assert "Hello" not in kept
