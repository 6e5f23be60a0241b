"""Columns of all kinds beside two responses: what is held against the winner, and what says something else."""

from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from tests.reading.comparing import read, sides, written
from tests.reading.opinions.choices import chosen
from tests.tiny_models import changed

SIDES = ("response_a", "response_b")


@pytest.fixture
def data(params: Params) -> Data:
    return changed(
        params.data, format="auto", source="rows.jsonl", columns=dict.fromkeys(params.data.columns.model_dump())
    )


def by_two(column: str, values: list[Any], found: str = "abab") -> list[dict[str, Any]]:
    """Comparisons of which the winner is known, with another column."""
    rows = written(list(found), ("a", "b", "tie"), SIDES)
    return [{**row, column: value} for row, value in zip(rows, values, strict=True)]


TWO: list[tuple[str, list[Any], list[Any]]] = [
    ("loser", list("baba"), list("babb")),
    ("worse", ["response_b", "response_a"] * 2, ["response_b", "response_b", "response_b", "response_a"]),
    ("losing_response", ["two 0", "one 1", "two 2", "one 3"], ["two 0", "two 1", "two 2", "one 3"]),
    ("rejected", ["two 0", "one 1", "two 2", "one 3"], ["two 0", "two 1", "two 2", "one 3"]),
    ("preferred_text", ["one 0", "two 1", "one 2", "two 3"], ["one 0", "one 1", "one 2", "two 3"]),
    ("what_we_took", ["one 0", "two 1", "one 2", "two 3"], ["one 0", "one 1", "one 2", "two 3"]),
    ("a_better", [True, False, True, False], [True, True, True, False]),
    ("is_response_b_better", [0, 1, 0, 1], [0, 0, 0, 1]),
    ("gold", list("abab"), list("abaa")),
    ("gold_label", ["1", "2", "1", "2"], ["1", "2", "2", "2"]),
    ("human_label", [0, 1, 0, 1], [0, 1, 1, 1]),
    ("majority", ["A", "B", "A", "B"], ["A", "B", "A", "A"]),
    ("annotation", ["model_a", "model_b"] * 2, ["model_a", "model_b", "model_b", "model_b"]),
    ("annotator_agrees", [True] * 4, [True, True, False, True]),
    ("meta", [{"preferred": one} for one in "abab"], [{"preferred": one} for one in "aaab"]),
    ("meta", [{"a_better": one} for one in (1, 0, 1, 0)], [{"a_better": one} for one in (1, 1, 1, 0)]),
    ("meta", [{"by": {"winner": one}} for one in "abab"], [{"by": {"winner": one}} for one in "aaab"]),
    ("preferred", [["a"], ["b", "b"], ["a"], ["b", "b", "a"]], [["a"], ["a"], ["a"], ["b"]]),
    ("preferred_text", ["one 0 ", " two 1", "one 2", "two 3"], ["one 0", "two 1", " two 2", "two 3"]),
    ("is_tie", [False] * 4, [False, False, True, False]),
    ("Answer.preferred", list("abab"), list("abbb")),
    ("#1 choice", list("abab"), list("abbb")),
]


@pytest.mark.parametrize(("column", "agrees", "against"), TWO, ids=[f"{case[0]}-{case[1][0]}" for case in TWO])
def test_opinions_of_two_responses(column: str, agrees: list[Any], against: list[Any], data: Data) -> None:
    said = [sides(one) for one in read(by_two(column, agrees), data)]
    assert said == [("one 0", "two 0"), ("two 1", "one 1"), ("one 2", "two 2"), ("two 3", "one 3")]
    with pytest.raises(PipelineError, match="contradict each other in 1 of 4 rows") as error:
        read(by_two(column, against), data)
    by_winner, *_ = chosen(str(error.value), data)
    assert [sides(one) for one in read(by_two(column, against), by_winner)] == said


def test_a_column_of_any_name_that_nearly_always_says_the_same(data: Data) -> None:
    found = "ab" * 20
    agrees = [1 if one == "a" else 0 for one in found]
    against = [1 - agrees[0], *agrees[1:]]
    assert len(read(by_two("signal_7", agrees, found), data)) == 40
    with pytest.raises(PipelineError, match=r"winner and signal_7 .* 1 of 40 rows"):
        read(by_two("signal_7", against, found), data)
    other = [1 if at % 4 < 2 else 0 for at in range(40)]
    assert len(read(by_two("signal_7", other, found), data)) == 40


@pytest.mark.parametrize(
    ("column", "values"),
    [("agreement", [0.0, 0.33, 0.67, 1.0]), ("annotators_agreed", [0, 1, 2, 3]), ("best", [True] * 4),
     ("lost", [0] * 4),
     ("preferred", ["a", "b", "unsure", "b"]), ("expert_id", [2, 1, 1, 2]), ("gold_answer", list("CADB")),
     ("chosen_model", ["gpt", "llama", "llama", "gpt"]), ("expert", [True, False, False, True]),
     ("meta", [{"label": "maths"}, {"label": "code"}, {"label": "law"}, {"label": "art"}]),
     ("meta", [{"original_winner": "b"}] * 4), ("longer", list("aaab")),
     ("shown_first", ["one 0", "one 1", "two 2", "one 3"])],
)  # fmt: skip
def test_columns_that_say_something_else_of_two_responses(column: str, values: list[Any], data: Data) -> None:
    assert len([one for one in read(by_two(column, values), data) if one.record]) == 4


def test_the_texts_of_one_writer_say_nothing_of_who_won(data: Data) -> None:
    rows = by_two("gpt4_answer", ["one 0", "one 1", "two 2", "one 3"])
    rows = [{**row, "llama_answer": text} for row, text in zip(rows, ["two 0", "two 1", "one 2", "two 3"], strict=True)]
    assert len([one for one in read(rows, data) if one.record]) == 4


def test_a_column_that_is_filled_in_one_of_many_rows_is_held_against_it(data: Data) -> None:
    found = "ab" * 2500
    overruled = [None] * 4321 + ["a"] + [None] * 678
    with pytest.raises(PipelineError, match=r"corrected_winner .* 1 of 1 rows\. Row 4322"):
        read(by_two("corrected_winner", overruled, found), data)


def test_a_declared_coding_is_no_part_of_a_choice_that_it_does_not_fit(data: Data) -> None:
    rows = [{**row, "winner": 1 if row["winner"] == "a" else 2} for row in by_two("preferred", list("abab"))]
    declared = changed(data, winner_coding={"first": [1], "second": [2], "tie": None, "skip": None})
    with pytest.raises(PipelineError, match="1 of 4 rows") as error:
        read([*rows[:3], {**rows[3], "preferred": "a"}], declared)
    assert str(error.value).count("# if") == 1


def test_opinions_beside_a_layout(data: Data) -> None:
    def turns(at: int, winner: str, says: str) -> dict[str, Any]:
        won = {f"winner_model_{side}": int(winner == side) for side in "ab"}
        texts = {f"response_{side}": f'["{side} {at}"]' for side in "ab"}
        return {"prompt": f'["Q{at}"]', **texts, **won, "winner_tie": 0, "preferred": says}

    agrees = [turns(at, winner, winner) for at, winner in enumerate("abab")]
    assert len([one for one in read(agrees, data) if one.record]) == 4
    with pytest.raises(PipelineError, match=r"preferred both say .* in 1 of 4 rows"):
        read([*agrees[:3], turns(3, "b", "a")], data)
