"""The pair, its record, and what others read of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.data.passages import Passage
from pipeline.data.records import write_records
from pipeline.errors import PipelineError
from pipeline.preferences.pair import Origin, PreferencePair, passages_of, read_pairs
from pipeline.reading.votes import Vote
from tests.preference_pairs import preference_pair

FULL = preference_pair(
    "P", " c", " rr", rejected_ended=False, source="given", chosen_score=0.9, rejected_score=0.6, margin=9.0,
    origin=Origin("a.jsonl", (3, 4)), votes=(Vote("ann", "tie"),), prompt_truncated=2,
)  # fmt: skip
BARE = preference_pair("Q", " c", " r")


@pytest.mark.parametrize("pair", [FULL, BARE], ids=["full", "bare"])
def test_a_record_says_all_of_a_pair(pair: PreferencePair) -> None:
    assert PreferencePair.of(json.loads(json.dumps(pair.as_record()))) == pair


def test_what_only_some_pairs_have_is_left_out_of_the_others_and_scores_are_always_there() -> None:
    optional = {"origin", "votes", "prompt_truncated"}
    assert set(FULL.as_record()) - set(BARE.as_record()) == optional
    assert BARE.as_record()["margin"] is None and BARE.as_record()["chosen_score"] is None
    record = FULL.as_record()
    assert record["origin"] == {"file": "a.jsonl", "rows": [3, 4]}
    assert record["votes"] == [{"annotator": "ann", "verdict": "tie", "swapped": False}]


def test_the_reward_model_reads_prompt_and_response_together() -> None:
    assert FULL.passages == (Passage("P c", True), Passage("P rr", False))
    assert passages_of([FULL, BARE]) == [*FULL.passages, *BARE.passages]
    assert (FULL.response("chosen"), FULL.response("rejected")) == (Passage(" c", True), Passage(" rr", False))
    assert FULL.lengths == (2, 3)


def test_the_judges_margin_is_what_the_scores_say_and_the_margin_only_without_them() -> None:
    assert FULL.judge_margin == pytest.approx(0.3)  # whatever the margin is
    assert replace(FULL, chosen_score=None).judge_margin == 9.0
    assert BARE.judge_margin is None


def test_a_row_that_is_no_pair_is_named(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    write_records(file, [FULL.as_record(), BARE.as_record()])
    assert read_pairs(file) == [FULL, BARE]
    write_records(file, [FULL.as_record(), {"id": "x", "prompt": "P", "chosen": "c"}])
    with pytest.raises(PipelineError, match=r"train.jsonl, line 2: lacks rejected, chosen_ended"):
        read_pairs(file)
