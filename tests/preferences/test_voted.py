"""Pairs from votes: the majority, the split of the prompt, and a fate for every line."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.records import record_id
from pipeline.errors import PipelineError
from pipeline.params.schema import Params
from pipeline.preferences.agreement import summarise_votes
from pipeline.preferences.prompts import SplitPrompt
from pipeline.preferences.voted import LabelledPairs, labelled_pairs, read_ballots
from pipeline.reading.votes import Vote
from pipeline.validation.contract import validate_pairs
from pipeline.validation.details import detail_pairs

PROMPTS = [
    SplitPrompt(id=f"p{i}", prompt=f"Prompt {i}:", category=f"kind {i}", split=split)
    for i, split in enumerate(("train", "test", "validation"))
]


def line(item: int, who: str, winner: str, *, order: str = "ab", **more: Any) -> dict[str, Any]:
    """A vote on the responses " x" and " y", shown in this order or the other."""
    first, second = (" x", " y") if order == "ab" else (" y", " x")
    shown = {"prompt": f"Prompt {item}:", "response_a": first, "response_b": second, "order": order}
    return {"item": f"i{item}", "winner": winner, "annotator": who, **shown, **more}


def read(tmp_path: Path, *lines: dict[str, Any], rest: str = "") -> LabelledPairs:
    """Votes in a file for each annotator."""
    for who in sorted({one["annotator"] for one in lines}):
        own = "".join(json.dumps(one) + "\n" for one in lines if one["annotator"] == who)
        (tmp_path / f"{who}.jsonl").write_text(own + rest)
    return labelled_pairs(read_ballots(tmp_path), PROMPTS)


def test_the_majority_is_the_pair_and_votes_are_told_from_its_side(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        line(1, "ann", "b", response_a_ended=False),
        line(1, "bob", "a", order="ba", response_b_ended=False),
        line(1, "cy", "tie"),
    )
    (pair,) = found.pairs
    assert (pair.prompt, pair.chosen, pair.rejected) == ("Prompt 1:", " y", " x")
    assert (pair.split, pair.prompt_id, pair.source) == ("test", "p1", "labelled")
    assert pair.id == record_id("Prompt 1:", " y", " x") and pair.category == "kind 1"
    assert (pair.chosen_ended, pair.rejected_ended) == (True, False)
    assert pair.votes == (Vote("ann", "a", swapped=True), Vote("bob", "a"), Vote("cy", "tie", swapped=True))
    assert (pair.margin, pair.chosen_score, pair.rejected_score, pair.origin) == (None, None, None, None)


def test_the_first_response_can_win(tmp_path: Path) -> None:
    (pair,) = read(tmp_path, line(0, "ann", "a", response_b_ended=False), line(0, "bob", "a", order="ba"),
                   line(0, "cy", "a")).pairs  # fmt: skip
    assert (pair.chosen, pair.rejected, pair.split) == (" x", " y", "train")
    assert (pair.chosen_ended, pair.rejected_ended) == (True, False)
    assert [(vote.verdict, vote.swapped) for vote in pair.votes or ()] == [("a", False), ("b", True), ("a", False)]


def test_every_line_has_a_fate(tmp_path: Path) -> None:
    lines = [
        line(0, "ann", "a"), line(0, "ann", "undo"), line(0, "ann", "b"),  # two superseded, one vote
        line(0, "bob", "b"),
        line(1, "ann", "a"), line(1, "bob", "b"),  # no majority
        line(2, "ann", "tie"), line(2, "bob", "skip"),
        line(7, "ann", "a"), line(7, "bob", "a"),  # a prompt of no split
        line(8, "ann", "undo"),
    ]  # fmt: skip
    found = read(tmp_path, *lines, rest='{"prompt')
    assert found.votes == {
        "in_pairs": 2, "no_majority": 2, "prompt_in_no_split": 2, "skipped": 1, "superseded": 2, "tie": 1,
        "torn_line": 2, "undone": 1,
    }  # fmt: skip
    assert sum(found.votes.values()) == len(lines) + 2
    assert found.compared == {"in_pairs": 1, "no_majority": 1, "prompt_in_no_split": 1, "tie": 1}
    assert found.undecided == 2 and len(found.pairs) == 1


def test_agreement_is_of_all_that_was_compared_not_of_the_pairs_with_a_winner(tmp_path: Path) -> None:
    votes = ["aa", "aa", "bb", "bb", "ab", "ba"]
    lines = [
        line(number, who, winner, prompt=f"Prompt {number % 3}:", response_a=f" x{number}")
        for number, pair in enumerate(votes)
        for who, winner in zip(("ann", "bob"), pair, strict=True)
    ]
    found = read(tmp_path, *lines)
    assert len(found.pairs) == 4 and found.agreement.comparisons == 6 and found.agreement.annotators == 2
    # 12 votes, 6 of each verdict: observed disagreement 4/12, expected 2 x 6 x 6 / (12 x 11) = 72/132
    assert found.agreement.krippendorff_alpha == pytest.approx(1 - (4 / 12) / (72 / 132), abs=1e-6)
    assert found.agreement.first_shown_wins == 0.5


@pytest.mark.parametrize(("winners", "fate"), [("ab", "no_majority"), ("abt", "no_majority"), ("att", "tie")])
def test_what_has_no_winner_gives_no_pair(tmp_path: Path, winners: str, fate: str) -> None:
    named = {"a": "a", "b": "b", "t": "tie"}
    found = read(tmp_path, *(line(0, f"n{number}", named[one]) for number, one in enumerate(winners)))
    assert found.pairs == [] and found.compared[fate] == 1 and found.votes[fate] == len(winners)


def test_prompts_are_compared_as_when_the_splits_were_drawn(tmp_path: Path) -> None:
    (pair,) = read(tmp_path, line(0, "ann", "a", prompt="PROMPT  0:")).pairs
    assert (pair.prompt_id, pair.prompt) == ("p0", "PROMPT  0:")


def test_the_contract_takes_them(tmp_path: Path, params: Params) -> None:
    found = read(tmp_path, *(line(number, "ann", "a") for number in range(3)))
    validated = validate_pairs([pair.as_record() for pair in found.pairs], params.validate_preferences)
    assert len(validated.accepted) == 3 and all(pair.votes for pair in validated.accepted)
    agreement = summarise_votes([[Vote("ann", "a")]] * 9)
    assert detail_pairs(validated, agreement=agreement).votes == agreement
    assert detail_pairs(validated).votes == summarise_votes([[Vote("ann", "a")]] * 3)


def test_no_votes_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="make label"):
        read_ballots(tmp_path)
