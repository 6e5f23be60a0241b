"""Votes on a pair are put together and counted."""

from typing import Any

from pipeline.params.data import Data
from pipeline.reading.entries import read_entries
from pipeline.reading.entry import Entry
from pipeline.reading.styles import Style
from pipeline.reading.votes import Vote
from tests.reading.read_rows import JUDGED, read, texts
from tests.tiny_models import changed


def test_votes_are_counted(data: Data) -> None:
    def decided(*values: Any) -> Entry:
        named = {f"winner.{number}": value for number, value in enumerate(values)}
        row = {"prompt": "Q", "response_a": "a", "response_b": "b", **named}
        (entry,) = read_entries([row], changed(data, format="comparisons"), Style())
        return entry

    assert texts(decided("a", "b", "b")) == ("Q", "b", "a")
    assert texts(decided("a", "tie", None)) == ("Q", "a", "b")
    assert decided("a", "tie", "").votes == (Vote("winner.0", "a"), Vote("winner.1", "tie"))
    for undecided in (("a", "b", "tie"), ("tie", "tie", "a"), ("a", "b")):
        assert decided(*undecided).reason == "tie"
    assert decided("a", "who?", "a").reason == "unreadable_verdict", "no vote is left out in silence"
    assert decided(None, "").reason == "no_winner"


def test_votes_in_rows_of_their_own_are_put_together_in_either_order(data: Data) -> None:
    def vote(who: str, first: str, second: str, winner: Any) -> dict[str, Any]:
        return {"prompt": "Q", "output_1": first, "output_2": second, "winner": winner, "annotator": who}

    rows = [vote("u", "x", "y", 1), vote("v", "y", "x", 2), vote("w", "x", "y", 2), vote("u", "x", "z", 2)]
    form, entries = read([*rows, vote("v", "x", "z", 7)], data)
    assert form == "comparisons"
    refused, both, other = entries
    assert (refused.rows, refused.reason) == ((5,), "undeclared_winner")
    assert both.rows == (1, 2, 3) and texts(both) == ("Q", "x", "y")
    assert both.votes == (Vote("u", "a"), Vote("v", "a", swapped=True), Vote("w", "b"))
    assert other.rows == (4,) and texts(other) == ("Q", "z", "x")


def test_of_an_annotators_rows_on_an_item_the_last_one_counts(data: Data) -> None:
    def vote(who: str, item: str | None, winner: str, first: str = "x", second: str = "y") -> dict[str, Any]:
        texts = {"prompt": f"Q{item}", "response_a": first, "response_b": second}
        return {
            **texts,
            "item": item,
            "winner": winner,
            "annotator": who,
            "order": "ab",
            "time": "2025-01-01T00:00:00Z",
        }

    rows = [
        vote("ann", "1", "a"), vote("bob", "1", "a"), vote("ann", "1", "undo"), vote("ann", "1", "b"),
        vote("cy", "1", "a", "y", "x"), vote("ann", "2", "a"), vote("ann", "2", "undo"), vote("ann", "3", "skip"),
    ]  # fmt: skip
    form, entries = read(rows, data)
    assert form == "comparisons"
    assert sorted(row for entry in entries for row in entry.rows) == list(range(1, 9))
    reasons = {entry.rows: entry.reason for entry in entries if entry.record is None}
    assert reasons == {(1,): "superseded", (3,): "superseded", (6,): "superseded", (7,): "undone", (8,): "skipped"}
    (pair,) = (entry for entry in entries if entry.record is not None)
    assert texts(pair) == ("Q1", "y", "x") and pair.rows == (2, 4, 5)
    assert pair.votes == (Vote("bob", "a"), Vote("ann", "b"), Vote("cy", "b", swapped=True))


def test_without_items_every_row_is_a_vote(data: Data) -> None:
    row = {"prompt": "Q", "response_a": "x", "response_b": "y", "annotator": "judge"}
    (entry,) = read([{**row, "winner": "a"}, {**row, "winner": "tie"}], data)[1]
    assert entry.votes == (Vote("judge", "a"), Vote("judge", "tie")) and texts(entry) == ("Q", "x", "y")


def test_the_two_games_of_a_judge_have_to_agree(data: Data) -> None:
    def game(first: str, second: str) -> Entry:
        _, (entry,) = read([{"g1_user_prompt": JUDGED, "g1_winner": first, "g2_winner": second}], data)
        return entry

    assert texts(game("model_1", "model_1")) == ("Why?", "No", "Yes")
    assert game("model_1", "model_2").reason == "games_disagree"
    assert game("model_1", "tie").reason == "tie" == game("tie", "tie").reason
    assert game("model_1", "model_2").votes == (Vote("game 1", "a"), Vote("game 2", "b", swapped=True))
    assert game("model_1", "error").reason == "unreadable_verdict"
