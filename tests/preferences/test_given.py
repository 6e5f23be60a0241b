"""Pairs of the data: from their records, and through the table in which they wait for the collection."""

from pathlib import Path

from pipeline.data.record_store import StoredRecord
from pipeline.data.records import read_records, write_records
from pipeline.data.tables import check_rows
from pipeline.preferences.given import given_pairs, given_records
from pipeline.preferences.given_table import given_ties, read_given
from pipeline.preferences.pair import Origin
from pipeline.reading.votes import Vote

PLAIN: StoredRecord = {
    "id": "0" * 16, "prompt": "P", "category": "k", "chosen": " c", "rejected": " r", "response": " c", "ended": True,
    "places": [("a.jsonl", 3)],
}  # fmt: skip
VOTED: StoredRecord = {
    **PLAIN, "id": "1" * 16, "votes": [{"annotator": "ann", "verdict": "a", "swapped": True}], "chosen_score": 2.0,
    "rejected_score": 1.0, "places": [("a.jsonl", 4), ("b.jsonl", 1), ("a.jsonl", 7)],
}  # fmt: skip
PAIRED = [("test", PLAIN), ("train", VOTED)]


def test_given_pairs_are_complete_and_nobody_judged_them() -> None:
    pair, _ = given_pairs(PAIRED)
    assert pair.chosen_ended and pair.rejected_ended
    assert pair.margin is None and pair.chosen_score is None and pair.rejected_score is None and pair.votes is None
    assert (pair.id, pair.prompt_id, pair.split, pair.source) == ("0" * 16, "0" * 16, "test", "given")
    assert (pair.prompt, pair.chosen, pair.rejected, pair.category) == ("P", " c", " r", "k")
    assert pair.origin == Origin("a.jsonl", (3,))


def test_votes_scores_and_all_rows_that_a_pair_is_from_are_kept() -> None:
    _, pair = given_pairs(PAIRED)
    assert pair.votes == (Vote("ann", "a", swapped=True),)
    assert (pair.chosen_score, pair.rejected_score) == (2.0, 1.0)
    assert pair.origin == Origin("a.jsonl, b.jsonl", (4, 1, 7))


def test_the_table_leaves_out_what_is_the_same_for_all_and_gives_back_the_same_pairs(tmp_path: Path) -> None:
    records = given_records(PAIRED)
    check_rows(tmp_path, records, "pairs", 0)
    texts = {"id", "prompt", "category", "chosen", "rejected", "split", "origin"}
    assert [set(record) for record in records] == [texts, texts | {"votes", "chosen_score", "rejected_score"}]
    write_records(tmp_path / "pairs.jsonl", records)
    assert read_records(tmp_path / "pairs.jsonl") == records
    assert read_given(tmp_path / "pairs.jsonl") == given_pairs(PAIRED)


def test_rows_that_prefer_neither_are_ties() -> None:
    assert given_ties({"dropped.tie": 2, "dropped.games_disagree": 3, "dropped.duplicate": 5}) == 5
    assert given_ties({}) == 0
