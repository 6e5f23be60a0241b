"""Two tiny policies answer scripted lines; blind votes are lines that the pipeline makes pairs of."""

import builtins
import shutil
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from pipeline.chat.__main__ import talk
from pipeline.chat.conversation import Conversation
from pipeline.chat.speaker import Speaker
from pipeline.errors import PipelineError
from pipeline.labelling.vote_log import VoteLog
from pipeline.models.compute import Compute
from pipeline.models.decoding import Continuation
from pipeline.models.text_format import TextFormat, store_text_format
from pipeline.params.schema import Params
from pipeline.preferences.prompts import SplitPrompt
from pipeline.preferences.voted import labelled_pairs, read_ballots
from pipeline.reading.chats import Message, render_prompt
from pipeline.release.serving import template_with_bos, trained_template, write_sampling, write_template
from tests.conftest import ROOT
from tests.labelling.serving import read_lines, write_items
from tests.sharing.conftest import write_release
from tests.tiny_models import changed, save_llama_policy
from tests.tiny_project import edit_params

PROMPTS = ["I loved the", "The plot is"]


@pytest.fixture
def project(tmp_path: Path, params: Params, tokenizer: PreTrainedTokenizerFast) -> Path:
    for seed, name in enumerate(("sft", "dpo")):
        folder = tmp_path / "artifacts/release" / name
        save_llama_policy(folder, tokenizer, seed=seed)
        store_text_format(folder, TextFormat("transcript"))
        write_template(folder, template_with_bos(trained_template(PROMPTS), tokenizer))
        write_sampling(folder, changed(params.sampling, max_new_tokens=4), [tokenizer.eos_token_id])
        write_release(tmp_path, name, params)
    write_items(tmp_path / "artifacts/data/prompts/train.jsonl", [{"prompt": prompt} for prompt in PROMPTS])
    shutil.copy(ROOT / "params.yaml", tmp_path)
    # as the fixture `compute`: a process has one precision
    edit_params(tmp_path, {"runtime.device": "cpu", "runtime.precision": "fp32", "runtime.threads": 1})
    return tmp_path


def script(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    """Lines in the place of a keyboard, which ends with them."""
    left = iter(lines)

    def read(prompt: str = "") -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(builtins, "input", read)


def asked(*, blind: bool = False, annotator: str | None = None, policy: str = "dpo") -> Namespace:
    return Namespace(policy=policy, beside="sft", blind=blind, annotator=annotator, seed=0)


def test_both_answer_by_name_and_nothing_is_kept(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script(monkeypatch, ["The film", "", "/quit", "never read"])
    talk(project, asked())
    said = capsys.readouterr().out
    assert said.count("\ndpo: ") == said.count("\nsft: ") == 2
    assert any(prompt in said for prompt in PROMPTS)
    assert not (project / "data/labels").exists()


def test_blind_votes_become_pairs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script(monkeypatch, ["", "1", "", "what", "2", "a text of mine", "t"])
    talk(project, asked(blind=True, annotator="ann"))
    said = capsys.readouterr().out
    assert "dpo:" not in said and "sft:" not in said and "1, 2, t or s" in said
    lines = read_lines(project / "data/labels/ann.jsonl")
    assert [line["winner"] for line in lines] == ["a", "b", "tie"]
    assert {line["prompt"] for line in lines[:2]} == set(PROMPTS) and lines[2]["prompt"] == "a text of mine"
    for line in lines:
        assert said.index(line["response_a"]) < said.rindex(line["response_b"])
    prompts = [SplitPrompt(str(n), prompt, "all", "train") for n, prompt in enumerate(PROMPTS)]
    found = labelled_pairs(read_ballots(project / "data/labels"), prompts)
    assert (len(found.pairs), found.votes["prompt_in_no_split"]) == (2, 1)
    assert {pair.chosen for pair in found.pairs} == {lines[0]["response_a"], lines[1]["response_b"]}


def test_a_second_sitting_adds_to_the_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same prompt again is another pair of samples, not another opinion on the first."""
    for _ in range(2):
        script(monkeypatch, ["The film", "1"])
        talk(project, asked(blind=True, annotator="ann"))
    first, second = read_lines(project / "data/labels/ann.jsonl")
    assert first["item"] != second["item"]


def test_answers_are_written_while_they_come_and_are_the_same_again(project: Path, compute: Compute) -> None:
    speaker = Speaker(project / "artifacts/release/dpo", compute)
    parts: list[str] = []
    said = speaker.answer("The film", seed=3, write=parts.append)
    assert "".join(parts) == said.text and said.tokens == 4 and not said.ended
    assert speaker.answer("The film", seed=3, write=parts.append) == said
    assert len({speaker.answer("The film", seed=seed, write=parts.append).text for seed in range(5)}) > 1


class Parrot:
    """Answers with its name and the length of what it was asked."""

    has_turns = True

    def __init__(self, name: str) -> None:
        self.name = name

    def prompt(self, turns: list[Message]) -> str:
        return render_prompt(turns)

    def answer(self, prompt: str, *, seed: int, write: Callable[[str], object]) -> Continuation:
        text = f" {self.name} {len(prompt)}"
        write(text)
        return Continuation(text, True, 2)


def test_order_is_random_and_the_winner_goes_on(tmp_path: Path) -> None:
    """Whoever always says 1 favours neither; the tally knows who it was."""
    log = VoteLog(tmp_path / "ann.jsonl")
    lines: Iterator[str] = iter([line for number in range(40) for line in (f"question {number}", "1")])

    def ask(shown: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    conversation = Conversation(
        {"dpo": Parrot("dpo"), "sft": Parrot("sft")},
        ask=ask, write=len, prompts=iter(()), seed=0, votes=log, annotator="ann",
    )  # fmt: skip
    conversation.run()
    rows = read_lines(tmp_path / "ann.jsonl")
    assert conversation.tally == Counter(row["response_a"].split()[0] for row in rows)
    assert all(10 < conversation.tally[name] < 30 for name in ("dpo", "sft"))
    for before, after in pairwise(rows):
        assert before["prompt"] + before["response_a"] + "\n\nHuman: " in after["prompt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blind": True}, "annotator ''"),
        ({"policy": "sft"}, "two different policies"),
        ({"policy": "ppo"}, "There are dpo, sft"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_loaded(
    project: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(PipelineError, match=message):
        talk(project, asked(**change))  # type: ignore[arg-type]


def test_an_answer_that_any_stop_token_ended_has_ended(
    project: Path, params: Params, tokenizer: PreTrainedTokenizerFast, compute: Compute
) -> None:
    folder = project / "artifacts/release/dpo"
    free = Speaker(folder, compute).answer("The film", seed=0, write=lambda _: None)
    assert not free.ended and free.tokens == 4
    assert free.text and not free.text.startswith("The film")
    write_sampling(folder, changed(params.sampling, max_new_tokens=4), list(range(len(tokenizer))))
    stopped = Speaker(folder, compute).answer("The film", seed=0, write=lambda _: None)
    assert (stopped.ended, stopped.tokens) == (True, 1)
