"""Words that name a response, by its column, a letter, a number or its place; and those that leave it open."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.sides import model_columns, own_tags, response_columns, tags_of
from pipeline.reading.verdicts import read_verdict
from tests.reading.comparing import expected, read, sides, written
from tests.tiny_models import changed

FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = [("response_a", "response_b"), ("completion_a", "completion_b"), ("answer_1", "answer_2"), ("left", "right")]
NAMES += [("response_0", "response_1"), ("responseA", "responseB"), ("first", "second"), ("output 1", "output 2")]
NAMES += [("left_response", "right_response")]
SAYINGS = ["{}", "{} is better", "{} wins", "{}.", "({})", "{} is much better", "I prefer {}", "{}_better", "the {}"]
SAYINGS += ["{} is better because it is short", "{} Is Slightly Better.", "{} won"]


@pytest.fixture
def data(params: Params) -> Data:
    return changed(
        params.data, format="auto", source="rows.jsonl", columns=dict.fromkeys(params.data.columns.model_dump())
    )


def names_of_sides(columns: tuple[str, str]) -> list[tuple[str, str]]:
    """Ways to name them that leave nothing open, whatever is said around it."""
    found = [columns, ("first", "second"), ("first response", "second response"), ("A", "b"), ("Model A", "model_b")]
    one, two = own_tags(columns)
    return [*found, (f"Answer {one}", f"answer-{two}")]


@FUZZ
@given(data_of=st.data())
def test_a_word_that_names_one_response_is_read(data_of: st.DataObject, data: Data) -> None:
    columns = data_of.draw(st.sampled_from(NAMES))
    who = data_of.draw(st.sampled_from(names_of_sides(columns)))
    saying = data_of.draw(st.sampled_from(SAYINGS))
    found = data_of.draw(st.lists(st.sampled_from("abt"), min_size=2, max_size=12))
    rows = written(found, (saying.format(who[0]), saying.format(who[1]), "tie"), columns)
    assert [sides(one) for one in read(rows, data)] == [expected(at, verdict) for at, verdict in enumerate(found)]


@FUZZ
@given(data_of=st.data())
def test_in_the_other_order_columns_are_named_by_themselves_alone(data_of: st.DataObject, data: Data) -> None:
    """`response_b` as the first response is still what B says; what the first is, is open."""
    one, two = data_of.draw(st.sampled_from(NAMES))
    columns = {**data.columns.model_dump(), "response_a": two, "response_b": one}
    saying = data_of.draw(st.sampled_from(SAYINGS))
    found = data_of.draw(st.lists(st.sampled_from("ab"), min_size=2, max_size=8))
    rows = written(found, (saying.format(one), saying.format(two), "tie"), (one, two))
    turned = changed(data, columns=columns)
    assert [sides(row) for row in read(rows, turned)] == [expected(at, verdict) for at, verdict in enumerate(found)]
    if "first" not in (one, two):
        with pytest.raises(PipelineError, match="does not say by itself who won"):
            read(written(["a", "b"], ("first", "second", "tie"), (one, two)), turned)


@pytest.mark.parametrize(
    "value",
    ["A is worse", "not A", "B is not better", "A loses", "A lost", "A+", "A?", "A is better than A", "-1", "1.", "R1",
     "Response B - reject", "Response B, because of its many errors, was discarded",
     "Response A (verbose and rambling)", "Answer B. It makes up facts that do not exist.",
     "Response B. Full of factual mistakes and hallucinations",
     "A is good", "A or B", "A wins, B wins", "A is better, but B is nicer", "A is better because overall B wins",
     "Is A better", "A beats C", "A won't do", "a response is better", "better", "wins", "left", "right", "c", "1 / 2"],
)  # fmt: skip
def test_what_says_more_or_less_is_open(value: str) -> None:
    assert read_verdict(value) is None
    assert read_verdict(value, ("response_a", "response_b")) is None


@pytest.mark.parametrize(
    ("columns", "value", "verdict"),
    [
        (("response_0", "response_1"), "response_1 wins", "b"), (("response_0", "response_1"), "Response 2", None),
        (("response_b", "response_c"), "B", "a"), (("response_b", "response_c"), "A", None),
        (("response_2", "response_3"), "Response 2", "a"), (("response_2", "response_3"), "first", None),
        (("response_b", "response"), "B", "a"), (("response", "response_b"), "B", "b"),
        (("gpt4_answer", "claude_answer"), "GPT-4 is better", "a"), (("gpt4_answer", "claude_answer"), "claude", "b"),
        (("gpt4_answer", "claude_answer"), "A", "a"), (("response_a", "answer_b"), "B is better than A", "b"),
        (("right", "left"), "left", "b"), (("right", "left"), "A", None), (("left", "right"), "A", "a"),
        (("response_a", "response_b"), "left", None), (("response_01", "response_02"), "response 2", "b"),
        (("response_j", "response_k"), "K", "b"), (("response_j", "response_k"), "A", None),
        (("column_3", "column_4"), "A", "a"), (("column_3", "column_4"), "Response 1", "a"),
    ],
)  # fmt: skip
def test_a_columns_own_letter_or_number_comes_before_convention(
    columns: tuple[str, str], value: str, verdict: str | None
) -> None:
    assert read_verdict(value, columns) == verdict


@pytest.mark.parametrize("counted", [("response_0", "response_1"), ("Response 0", "Response 1"), ("a 0", "a 1")])
def test_numbers_that_may_count_from_0_are_open_beside_letters(counted: tuple[str, str], data: Data) -> None:
    """However rare the 0 is: `response_1` would be read as the first."""
    for found in (["a"] * 4 + ["b"] * 96, ["b"] * 5):
        with pytest.raises(PipelineError, match="does not say by itself who won"):
            read(written(found, (*counted, "tie"), ("response_a", "response_b")), data)


def test_auto_finds_the_only_two_responses() -> None:
    assert response_columns(["prompt", "winner", "completion_b", "completion_a"]) == ["completion_a", "completion_b"]
    assert response_columns(["prompt", "right", "left"]) == ["left", "right"]
    for names in (["answer_a", "answer_b", "answer_c"], ["text_a", "text_b"], ["answer_b", "answer_c"], ["answer_a"]):
        assert response_columns(names) == []


def test_names_of_models_stand_in_the_order_of_the_responses() -> None:
    names = ["model_b", "id", "model_a", "score_a", "score_b", "model_a_score", "model_b_score"]
    assert model_columns(names, ("response_a", "response_b")) == ["model_a", "model_b"]
    assert model_columns(names, ("response_b", "response_a")) == ["model_b", "model_a"]
    assert model_columns(names, ("response_1", "response_2")) == ["model_a", "model_b"]
    assert model_columns(names, ("response_2", "response_1")) == [], "which is which is open"
    assert model_columns([*names, "system_a", "system_b"], ("response_a", "response_b")) == []
    assert model_columns(["left_model", "right_model"], ("left", "right")) == ["left_model", "right_model"]


def test_tags_of_columns() -> None:
    assert tags_of(("response_0", "response_1"))["1"] == "b"
    assert tags_of(None) == {"a": "a", "b": "b", "1": "a", "2": "b", "first": "a", "second": "b"}


MODELS = ["gpt", "llama", "vicuna", "koala", "7"]


@FUZZ
@given(data_of=st.data())
def test_a_winner_that_is_a_models_name_is_read_by_its_row(data_of: st.DataObject, data: Data) -> None:
    columns, names = data_of.draw(
        st.sampled_from([
            (("response_a", "response_b"), ("model_a", "model_b")), (("answer_1", "answer_2"), ("model_1", "model_2")),
            (("left", "right"), ("left_model", "right_model")), (("answer_1", "answer_2"), ("model_a", "model_b")),
        ])
    )  # fmt: skip
    found = data_of.draw(st.lists(st.sampled_from("abt"), min_size=1, max_size=20))
    rows = written(found, ("a", "b", "t"), columns)
    for row, verdict in zip(rows, found, strict=True):
        two = data_of.draw(st.lists(st.sampled_from(MODELS), min_size=2, max_size=2, unique=True))
        row.update(zip(names, two, strict=True))
        row["winner"] = {"a": two[0], "b": two[1], "t": "tie"}[verdict]
    assert [sides(one) for one in read(rows, data)] == [expected(at, verdict) for at, verdict in enumerate(found)]


def arena(*rows: tuple[Any, Any, Any]) -> list[dict[str, Any]]:
    return [
        {**row, "model_a": one, "model_b": two, "winner": won}
        for row, (one, two, won) in zip(
            written(["a"] * len(rows), ("", "", ""), ("response_a", "response_b")), rows, strict=True
        )
    ]


def test_a_name_that_the_row_does_not_have_is_refused_or_dropped(data: Data) -> None:
    good = [("gpt", "llama", "gpt"), ("llama", "gpt", "gpt")] * 10
    with pytest.raises(PipelineError) as error:
        read(arena(*good[:4], ("gpt", "llama", "koala")), data)
    message = str(error.value)
    assert "'koala' (1 times)" in message and "held against model_a and model_b of each row" in message
    assert "model_a: gpt, model_b: llama" in message and "first: []\n    second: []" in message
    assert "skip: ['koala']" in message, "no line says that a model is the first response"
    entries = read(arena(*good, ("gpt", "llama", "koala")), data)
    assert [sides(one) for one in entries] == [expected(at, "ab"[at % 2]) for at in range(20)] + ["unreadable_verdict"]
    assert entries[-1].seen == "'koala'"


@pytest.mark.parametrize(
    "row", [("gpt", "gpt", "gpt"), ("b", "a", "a"), (2, 1, 1), ("response_b", "response_a", "response_b")]
)
def test_a_name_that_may_mean_either_side_is_open(row: tuple[Any, Any, Any], data: Data) -> None:
    with pytest.raises(PipelineError, match="does not say by itself who won"):
        read(arena(row), data)


def test_a_declared_coding_does_not_say_that_a_model_is_the_first_response(data: Data) -> None:
    coding = {"first": ["gpt"], "second": ["llama"], "tie": ["none"], "skip": None}
    rows = arena(("gpt", "llama", "gpt"), ("llama", "gpt", "gpt"), ("koala", "gpt", "koala"), ("koala", "gpt", "none"))
    assert [sides(one) for one in read(rows, changed(data, winner_coding=coding))] == [
        expected(0, "a"), "undeclared_winner", expected(2, "a"), "tie",
    ]  # fmt: skip


def test_where_the_columns_of_models_have_other_names_the_refusal_says_how_to_name_them(data: Data) -> None:
    rows = [
        {**row, "llm_x": one, "llm_y": two, "winner": "gpt"}
        for row, (one, two) in zip(
            written(["a", "b"], ("", "", ""), ("response_a", "response_b")),
            [("gpt", "llama"), ("koala", "gpt")],
            strict=True,
        )
    ]
    with pytest.raises(PipelineError, match=r"as llm_x of this row: set data.columns.models to the two columns"):
        read(rows, data)
    named = {**data.columns.model_dump(), "models": ["llm_x", "llm_y"]}
    assert [sides(one) for one in read(rows, changed(data, columns=named))] == [expected(0, "a"), expected(1, "b")]
