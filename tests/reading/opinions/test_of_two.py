"""A column that says who won beside the one that is read never says otherwise in silence."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from tests.reading.comparing import expected, read, sides, written
from tests.reading.opinions.choices import chosen
from tests.tiny_models import changed

FUZZ = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIDES = ("response_a", "response_b")
SECOND: list[tuple[str, tuple[Any, ...]]] = [
    ("preferred", ("model_a", "model_b", "equal")), ("chosen_index", (0, 1, None)), ("chosen_index", (1, 2, None)),
    ("label", (1, 0, 2)), ("human_preference", ("A", "B", "tie")), ("better", ("left", "right", "same")),
    ("vote", (True, False, None)), ("best_response", ("response_a", "response_b", "neither")),
]  # fmt: skip
"""Columns beside `winner`, with what they have where the first won, where the second did, and of ties."""


@pytest.fixture
def data(params: Params) -> Data:
    return changed(
        params.data, format="auto", source="rows.jsonl", columns=dict.fromkeys(params.data.columns.model_dump())
    )


@FUZZ
@given(data_of=st.data())
def test_two_columns_may_both_say_who_won_where_they_agree(data_of: st.DataObject, data: Data) -> None:
    name, coding = data_of.draw(st.sampled_from(SECOND))
    found = data_of.draw(st.lists(st.sampled_from("abt"), min_size=1, max_size=12))
    rows = written(found, ("a", "b", "tie"), SIDES)
    for row, verdict in zip(rows, found, strict=True):
        row[name] = dict(zip("abt", coding, strict=True))[verdict]
    assert [sides(one) for one in read(rows, data)] == [expected(at, verdict) for at, verdict in enumerate(found)]


@FUZZ
@given(data_of=st.data())
def test_where_they_contradict_each_other_nothing_is_read(data_of: st.DataObject, data: Data) -> None:
    """Each of the lines that the refusal offers reads what it says."""
    name, coding = data_of.draw(st.sampled_from(SECOND))
    found = data_of.draw(st.lists(st.sampled_from("ab"), min_size=6, max_size=30))
    turned = data_of.draw(st.sampled_from(range(len(found))))
    rest = [verdict for at, verdict in enumerate(found) if at != turned]
    if min(rest.count("a"), rest.count("b")) < 2:
        return  # too few to say what a number means
    other = {"a": "b", "b": "a"}
    second = [other[verdict] if at == turned else verdict for at, verdict in enumerate(found)]
    rows = written(found, ("a", "b", "tie"), SIDES)
    for row, verdict in zip(rows, second, strict=True):
        row[name] = dict(zip("abt", coding, strict=True))[verdict]
    with pytest.raises(PipelineError) as error:
        read(rows, data)
    message = str(error.value)
    names = ("label", "winner") if name == "label" else ("winner", name)
    assert f"and contradict each other in 1 of {len(found)} rows. Row {turned + 1}, for example" in message
    assert all(f"{column}: {rows[turned][column]}" in message for column in names)
    first, *others = chosen(message, data)
    assert [sides(one) for one in read(rows, first)] == [expected(at, verdict) for at, verdict in enumerate(found)]
    if isinstance(coding[0], str) and name != "better":
        use_second, votes = others
        assert [sides(one) for one in read(rows, use_second)] == [expected(at, one) for at, one in enumerate(second)]
        voted = [sides(one) for one in read(rows, votes)]
        assert voted == ["tie" if at == turned else expected(at, verdict) for at, verdict in enumerate(found)]


@pytest.mark.parametrize(
    ("column", "values"),
    [("label", ["maths", "code", "maths", "code"]), ("preference_strength", [1, 2, 1, 2]), ("topic", list("abab")),
     ("best_answer", ["Both of them say it.", "Neither is.", "So.", "No."]), ("label", [4, 7, 1, 9]),
     ("winner_reason", list("xyxy"))],
)  # fmt: skip
def test_columns_that_say_something_else_are_left_alone(column: str, values: list[Any], data: Data) -> None:
    rows = written(list("aabb"), ("a", "b", "tie"), SIDES)
    rows = [{**row, column: value} for row, value in zip(rows, values, strict=True)]
    assert [sides(one) for one in read(rows, data)] == [expected(at, verdict) for at, verdict in enumerate("aabb")]


def test_the_whole_source_is_held_against_it_not_a_sample(data: Data) -> None:
    rows = [{**row, "preferred": row["winner"]} for row in written(["a", "b"] * 2500, ("a", "b", "tie"), SIDES)]
    rows[4997]["preferred"] = "a"
    with pytest.raises(PipelineError, match=r"1 of 5,000 rows\. Row 4998"):
        read(rows, data)


def pair(**others: Any) -> dict[str, Any]:
    return {"prompt": "Q", "chosen": "better text", "rejected": "worse text", **others}


@pytest.mark.parametrize(
    ("agrees", "against"),
    [
        ({"winner": "chosen"}, {"winner": "rejected"}), ({"preferred": "better text"}, {"preferred": "worse text"}),
        ({"chosen_rank": 1, "rejected_rank": 2}, {"chosen_rank": 2, "rejected_rank": 1}),
        ({"response_a": "better text", "response_b": "worse text", "winner": "a"},
         {"response_a": "better text", "response_b": "worse text", "winner": "b"}),
        ({"response_1": "worse text", "response_2": "better text", "preference": 2},
         {"response_1": "worse text", "response_2": "better text", "preference": 1}),
    ],
)  # fmt: skip
def test_chosen_and_rejected_are_held_against_a_verdict(
    agrees: dict[str, Any], against: dict[str, Any], data: Data
) -> None:
    good = [pair(**agrees), pair(**agrees), pair(**agrees)]
    assert {sides(one) for one in read(good, data)} == {("better text", "worse text")}
    with pytest.raises(PipelineError, match=r"contradict each other in 1 of 4 rows\. Row 4, for example") as error:
        read([*good, pair(**against)], data)
    (settings_of,) = chosen(str(error.value), data)
    assert {sides(one) for one in read([*good, pair(**against)], settings_of)} == {("better text", "worse text")}


def test_a_letter_beside_chosen_and_rejected_says_nothing_of_them(data: Data) -> None:
    rows = [pair(winner=winner, model_a="x", model_b="y") for winner in ("a", "b", "model_a", 0, 1)]
    rows = [{**row, "winner": str(row["winner"])} for row in rows]
    assert {sides(one) for one in read(rows, data)} == {("better text", "worse text")}


def test_ranks_of_two_responses_are_held_against_the_winner(data: Data) -> None:
    rows = [
        {**row, "rank_1": 1 if row["winner"] == "a" else 2, "rank_2": 2 if row["winner"] == "a" else 1}
        for row in written(list("abab"), ("a", "b", "tie"), SIDES)
    ]
    assert len(read(rows, data)) == 4
    with pytest.raises(PipelineError, match=r"winner and rank_1 and rank_2 .* 1 of 4 rows"):
        read([*rows[:3], {**rows[3], "rank_1": 1, "rank_2": 2}], data)
    with pytest.raises(PipelineError, match="4 of 4 rows"):
        read(rows, changed(data, best_rank="highest"))


def test_ratings_and_ranks_of_a_prompt_may_not_contradict_each_other(data: Data) -> None:
    def rated(prompt: str, *pairs: tuple[int, int]) -> list[dict[str, Any]]:
        return [{"prompt": prompt, "response": f"{s} {r}", "score": s, "rank": r} for s, r in pairs]

    good = [*rated("Q", (5, 1), (3, 2), (1, 3)), *rated("R", (2, 2), (4, 1)), *rated("S", (1, 1))]
    pairs = [("5 1", "1 3"), ("4 1", "2 2")]
    assert [sides(one) for one in read(good, data) if one.record] == pairs
    with pytest.raises(PipelineError, match=r"score and rank both say .* in 1 of 3 prompts\. Row 8") as error:
        read([*good, *rated("T", (1, 1), (2, 2))], data)
    by_score, by_rank = chosen(str(error.value), data)
    mixed = [*good, *rated("T", (1, 1), (2, 2))]
    assert [sides(one) for one in read(mixed, by_score) if one.record] == [*pairs, ("2 2", "1 1")]
    assert [sides(one) for one in read(mixed, by_rank) if one.record] == [*pairs, ("1 1", "2 2")]


@pytest.mark.parametrize("ends", [("score_a", "score_b"), ("rating_1", "rating_2"), ("a_score", "b_score")])
def test_scores_beside_a_winner_go_with_the_pair(ends: tuple[str, str], data: Data) -> None:
    """The contract holds them against it."""
    rows = [{**row, ends[0]: 4, ends[1]: 1} for row in written(list("ab"), ("a", "b", "tie"), SIDES)]
    records = [one.record or {} for one in read(rows, data)]
    assert [(one["chosen_score"], one["rejected_score"]) for one in records] == [(4, 1), (1, 4)]
    (without,) = read([{**rows[0], ends[0]: None}], data)
    assert without.record and "chosen_score" not in without.record


def test_scores_beside_ranks_go_with_the_pair(data: Data) -> None:
    ranks = [(1, 2), (2, 7), (3, 5)]
    rows = [{"prompt": "Q", "response": f"r{rank}", "rank": rank, "score": score} for rank, score in ranks]
    ranked = changed(data, format="rankings")
    found, _ = read(rows, ranked)
    assert found.record == {"prompt": "Q", "chosen": "r1", "rejected": "r3", "chosen_score": 2, "rejected_score": 5}
    found, _ = read([*rows[:2], {**rows[2], "score": None}], ranked)
    assert found.record == {"prompt": "Q", "chosen": "r1", "rejected": "r3"}
