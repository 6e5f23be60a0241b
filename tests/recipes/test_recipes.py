"""Every recipe runs from its first stage to its last, on tiny models and data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.records import read_records, write_records
from tests.conftest import ROOT
from tests.judges.fake_endpoint import Fake, serve
from tests.recipes.conftest import LENGTHS, chat_preferences, preferences
from tests.recipes.running import run_stages
from tests.small_chat_model import save_small_chat_model
from tests.tiny_project import edit_params

Take = Callable[..., Path]


def longer_wins(messages: list[dict[str, str]]) -> str:
    """A verdict on the two responses, the same in both orders."""
    first, second = (
        messages[0]["content"].partition(f"[Response {side}]\n")[2].partition(f"\n[End of response {side}]")[0]
        for side in "AB"
    )
    return "[[A]]" if len(first) > len(second) else "[[B]]" if len(second) > len(first) else "[[C]]"


def comparison(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "reports/comparison.json").read_text())
    return found


def test_every_recipe_has_a_test_here() -> None:
    text = Path(__file__).read_text()
    assert [path.stem for path in ROOT.glob("recipes/*.yaml") if f'"{path.stem}"' not in text] == []


def test_given_preferences_are_what_is_trained_on(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    root = take("given-dpo", preferences(150))
    ran = run_stages(root, monkeypatch, wanted=["train_sft", "score_reference"])
    assert ran[0] == "check" and ran.index("check") < ran.index("fetch_models")
    pairs = {split: read_records(root / f"artifacts/preferences/accepted/{split}.jsonl") for split in ("train", "test")}
    assert len(pairs["train"]) > 80 and len(pairs["test"]) > 15
    # the policy learned from the responses that people chose, and only from those of the train split
    chosen = {(pair["prompt"], pair["chosen"]) for pair in pairs["train"]}
    texts = read_records(root / "artifacts/data/texts/train.jsonl")
    assert {(row["prompt"], row["response"]) for row in texts} == chosen
    assert json.loads((root / "reports/preferences/summary.json").read_text())["ties_without_pair"] == 0
    assert {row["id"] for row in read_records(root / "artifacts/inputs/dpo/pairs.jsonl")} == {
        pair["id"] for pair in pairs["train"]
    }


@pytest.mark.slow(beside="test_given_preferences_are_what_is_trained_on")
def test_given_preferences_with_dpo(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    root = take("given-dpo", preferences(150))
    run_stages(root, monkeypatch)
    assert set(comparison(root)["policies"]) == {"sft", "dpo"}


@pytest.mark.slow(beside="test_given_preferences_are_what_is_trained_on")
def test_a_finished_chat_model_is_aligned_as_it_is(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the tokenizer and the template of a real chat model, and weights so small that a run takes seconds."""
    root = take("chat-dpo", chat_preferences(150))
    chat = root / "data/models/chat"
    save_small_chat_model(chat)
    edit_params(root, {"models.policy.source": "data/models/chat"} | {f"{key}": 120 for key in LENGTHS})
    run_stages(root, monkeypatch)
    assert json.loads((root / "artifacts/data/text_format.json").read_text())["style"] == "template"
    # SFT is the chat model itself: the same file under a second name, and no copy
    start, sft = (root / folder / "model.safetensors" for folder in ("artifacts/models/policy", "artifacts/sft"))
    assert start.samefile(sft)
    assert len(read_records(root / "reports/training/train_sft.jsonl")) == 1
    assert set(comparison(root)["policies"]) == {"sft", "dpo"}
    assert (root / "artifacts/release/sft/model.safetensors").read_bytes() == start.read_bytes()
    text = read_records(root / "artifacts/data/texts/train.jsonl")[0]
    (turn,) = text["turns"]
    assert text["prompt"][slice(*turn)] == "Ask me of a film.<|im_end|>" and text["preferred"]


@pytest.mark.slow(beside="test_given_preferences_are_what_is_trained_on")
def test_prompts_alone_with_a_chat_judge(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"prompt": row["prompt"]} for row in preferences(120)]
    monkeypatch.setenv("OPENAI_API_KEY", "word")
    fake = Fake(longer_wins)
    with serve(fake):
        root = take(
            "rlaif-chat",
            rows,
            judge__endpoint__base_url=f"http://127.0.0.1:{fake.port}/v1",
            validate_preferences__min_pairs=1,
            collect_preferences__min_margin=0.0,
        )
        run_stages(root, monkeypatch)
    assert fake.requests
    assert set(comparison(root)["policies"]) == {"sft", "dpo", "ppo"}
    assert comparison(root)["policies"]["dpo"]["perplexity_held_out"] is None
    assert read_records(root / "artifacts/data/texts/train.jsonl") == []
    policies = ("artifacts/models/policy", "artifacts/sft")
    assert len({(root / folder / "model.safetensors").read_bytes() for folder in policies}) == 1


@pytest.mark.slow(beside="test_given_preferences_are_what_is_trained_on")
def test_a_bought_reward_model_with_ppo(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    root = take("bought-reward-ppo", preferences(150), train_reward__max_length=60)
    run_stages(root, monkeypatch)
    assert set(comparison(root)["policies"]) == {"sft", "ppo"}
    judge = json.loads((root / "artifacts/judge/judge.json").read_text())
    assert judge["kind"] == "reward_model"
    (row,) = read_records(root / "reports/training/train_reward.jsonl")
    assert row["step"] == 0  # it is not trained


@pytest.mark.slow(beside="test_given_preferences_are_what_is_trained_on")
def test_the_embedded_default_and_then_the_votes_of_people(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    """People vote on what the default sampled, and the recipe trains on that."""
    short = {"prompt_words": 4, "response_words": 8, "min_words": 10}
    reviews = {"data__source": "reviews.csv", **{f"data__{key}": value for key, value in short.items()}}
    root = take("embedded", **reviews)
    run_stages(root, monkeypatch)
    assert set(comparison(root)["policies"]) == {"sft", "dpo", "ppo"}
    sampled = read_records(root / "artifacts/preferences/raw.jsonl")
    votes = [
        {
            "item": pair["id"], "prompt": pair["prompt"], "response_a": pair["rejected"], "response_b": pair["chosen"],
            "winner": "b", "annotator": "ann",
        }
        for pair in sampled
    ]  # fmt: skip
    write_records(root / "data/labels/ann.jsonl", votes)
    take("votes", **reviews)
    run_stages(root, monkeypatch)
    accepted = read_records(root / "artifacts/preferences/accepted/train.jsonl")
    assert accepted and {pair["source"] for pair in accepted} == {"labelled"}
