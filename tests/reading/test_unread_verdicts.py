"""Columns that may be verdicts by their values are refused beside demonstrations or texts, with lines to add."""

from typing import Any

import pytest
from datasets import Dataset

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.entries import read_entries
from pipeline.reading.formats import as_read, detect_format, select_fields
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style
from tests.reading.advice import copied, options
from tests.tiny_models import changed

ROWS = 24


@pytest.fixture
def data(params: Params) -> Data:
    columns = dict.fromkeys(params.data.columns.model_dump())
    return changed(params.data, format="auto", source="rows.jsonl", columns=columns)


def source_of(*rows: dict[str, Any]) -> Source:
    return Source("rows.jsonl", Dataset.from_list(list(rows)), 1.0)


def answers(name: str, values: list[Any], *, text: bool = False) -> Source:
    """For each value a response to each of twelve prompts, or twelve texts; the value is in one more column."""
    texts = [{"text": f"Some text {at}"} for at in range(12 * len(values))]
    asked = [{"prompt": f"Question {at % 12}?", "response": f"Answer {at}"} for at in range(12 * len(values))]
    return source_of(*({**row, name: values[at // 12]} for at, row in enumerate(texts if text else asked)))


def two_texts(one: str, other: str, name: str, values: list[Any], *, prompt: str = "prompt") -> Source:
    return source_of(*({
        prompt: f"Which is number {at}?", one: f"This is the first one {at}", other: f"That is the second one {at}",
        name: values[at % len(values)],
    } for at in range(12)))  # fmt: skip


def chosen(source: Source, data: Data) -> set[str]:
    """The responses that are preferred."""
    resolved = detect_format(source, data)
    found = read_entries(select_fields(source, resolved), as_read(resolved), Style())
    return {entry.record["chosen"] for entry in found if entry.record and "chosen" in entry.record}


def refused(source: Source, data: Data) -> str:
    with pytest.raises(PipelineError) as error:
        detect_format(source, data)
    return str(error.value)


THUMBS = ["is_safe", "is_toxic", "is_harmful", "approved", "hallucinated", "y", "target", "flag", "拒否"]


@pytest.mark.parametrize("name", THUMBS)
@pytest.mark.parametrize("values", [[True, False], [0, 1], ["1", "0"], ["yes", "no"], ["ok", "not ok"]])
def test_labels_of_responses_are_read_as_they_are_declared(name: str, values: list[Any], data: Data) -> None:
    source = answers(name, values)
    found = options(refused(source, data))
    codes = [str(value).casefold() for value in values]
    first, second = (copied(data, found[f"it labels them, and {code} is what people want"]) for code in codes)
    assert chosen(source, first) == {f"Answer {at}" for at in range(12)}
    assert chosen(source, second) == {f"Answer {at}" for at in range(12, 24)}
    assert detect_format(source, copied(data, found["demonstrations are meant"])).format == "demonstrations"


@pytest.mark.parametrize(
    ("name", "values"),
    [("likert", [5, 1, 3]), ("net_votes", [30, -2]), ("toxicity", [0.9, 0.1]), ("grade", [3, 1, 2]), ("z", [4, 2, 3])],
)
def test_ratings_of_responses_are_read_as_they_are_declared(name: str, values: list[Any], data: Data) -> None:
    source = answers(name, values)
    found = options(refused(source, data))
    if len(values) == 2:  # of two values it may be a label
        assert "it labels them, and" in next(iter(found))
        return
    highest, lowest = (
        copied(data, found[f"it rates them, and the {end} number is the best"]) for end in ("largest", "smallest")
    )
    assert chosen(source, highest) == {f"Answer {at}" for at in range(12)}
    assert chosen(source, lowest) == {f"Answer {at}" for at in range(12, 24)}


def test_words_of_several_grades_are_moved_to_what_they_mean(data: Data) -> None:
    source = answers("grade", ["A", "B", "C"])
    lines = options(refused(source, data))["it labels them; move what people want from unwanted to wanted"]
    lines["label_coding"] = {"wanted": ["a"], "unwanted": lines["label_coding"]["unwanted"][1:]}
    assert chosen(source, copied(data, lines)) == {f"Answer {at}" for at in range(12)}


def test_thumbs_that_their_name_tells_have_their_direction_declared_too(data: Data) -> None:
    source = answers("is_rejected", [0, 1])
    found = options(refused(source, data))
    assert chosen(source, copied(data, found["it labels them, and 0 is what people want"])) == {
        f"Answer {at}" for at in range(12)
    }


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, [1, 2, 3]) for name in ("id", "index", "turn", "num_turns", "fold", "epoch", "user_id", "Unnamed: 0")),
        *((name, [100, 200]) for name in ("length", "num_tokens", "tokenCount", "response_length", "timestamp")),
        *((name, [True, False]) for name in ("is_english", "has_code", "truncated", "redacted", "is_multi_turn")),
        *((name, ["a", "b", "c"]) for name in ("source", "dataset", "model", "kind", "tone")),
        ("split", ["train", "test"]), ("language", ["en", "de"]), ("temperature", [0.7, 1.0]), ("difficulty", [1, 2]),
        ("released", [2019, 2020]), ("constant", [1]), ("x", [None]), ("many", list(range(24))),
    ],
)  # fmt: skip
def test_what_says_where_a_row_is_from_is_left_out(name: str, values: list[Any], data: Data) -> None:
    rows = [{"prompt": f"Q{at}", "response": f"x{at}", name: values[at % len(values)]} for at in range(ROWS)]
    assert detect_format(source_of(*rows), data).format == "demonstrations"


def test_a_code_that_all_responses_to_a_prompt_share_is_about_the_prompt(data: Data) -> None:
    rows = [{"prompt": f"Q{at // 2}", "response": f"x{at}", "hard": at // 2 % 2} for at in range(ROWS)]
    assert detect_format(source_of(*rows), data).format == "demonstrations"
    assert "hard would not be read" in refused(
        source_of(*({**row, "hard": at % 2} for at, row in enumerate(rows))), data
    )


def test_labels_beside_texts_are_read_as_they_are_declared(data: Data) -> None:
    source = answers("is_spam", [1, 0], text=True)
    found = options(refused(source, data))
    resolved = detect_format(source, copied(data, found["it labels them, and 0 is what people want"]))
    entries = list(read_entries(select_fields(source, resolved), as_read(resolved), Style()))
    assert [entry.record and entry.record["label"] for entry in entries] == [0] * 12 + [1] * 12
    assert detect_format(source, copied(data, found["texts are meant"])).format == "texts"


SIDES = [("A", "B"), ("B", "A"), ("1", "2"), ("0", "1"), ("left", "right"), ("model_a_output", "model_b_output")]
SIDES += [("optionA", "optionB"), ("gpt4", "claude"), ("first text", "second text"), ("y", "n")]


@pytest.mark.parametrize(("one", "other"), SIDES)
@pytest.mark.parametrize("name", ["answer", "pick", "label", "gold"])
@pytest.mark.parametrize("prompt", ["prompt", "text"])
def test_two_texts_and_a_code_are_never_anything_but_comparisons(
    one: str, other: str, name: str, prompt: str, data: Data
) -> None:
    source = two_texts(one, other, name, [one, other], prompt=prompt)
    try:
        resolved = detect_format(source, data)
    except PipelineError as error:
        found = options(str(error))
        asked = copied(data, found[f"{name} says which of them is better"])
    else:
        assert resolved.format == "comparisons"
        asked = changed(data, columns={**data.columns.model_dump(), "prompt": prompt})
    sides = {f"This is the first one {at}" for at in range(0, 12, 2)}
    assert chosen(source, asked) == sides | {f"That is the second one {at}" for at in range(1, 12, 2)}


@pytest.mark.parametrize(("one", "other"), [("A", "B"), ("model_a_output", "model_b_output"), ("uno", "dos")])
def test_what_numbers_beside_two_texts_mean_is_asked_next(one: str, other: str, data: Data) -> None:
    source = two_texts(one, other, "pick", [0, 1])
    found = options(refused(source, data))
    asked = copied(data, found["pick says which of them is better"])
    meant = options(refused(source, asked))
    assert "This is the first one 0" in chosen(source, copied(asked, meant["0 is the first response"]))
    assert "That is the second one 0" in chosen(
        source, copied(asked, meant["1 is the first response and 0 the second"])
    )
    assert detect_format(source, copied(data, found["prompts are meant"])).format == "prompts"


def test_choices_of_several_texts_are_no_demonstrations(data: Data) -> None:
    texts = dict.fromkeys("ABCD", "This is one of the four")
    rows = [
        {"question": f"Which is {at}?", **{k: f"{v} {at}" for k, v in texts.items()}, "answer": "ABCD"[at % 4]}
        for at in range(12)
    ]
    message = refused(source_of(*rows), data)
    assert "the responses would be the codes of answer" in message and "ignore_columns: [A, B, C, D]" in message
    assert detect_format(source_of(*rows), changed(data, ignore_columns=list("ABCD"))).format == "demonstrations"


def test_sentences_beside_labelled_texts_and_demonstrations_are_left_out(data: Data) -> None:
    beside = [{"title": f"A title of number {at}", "summary": f"A summary of the number {at}"} for at in range(12)]
    coded = changed(data, label_coding={"wanted": [1], "unwanted": [2]})
    texts = [{"text": f"Some {at}", "label": at % 2 + 1, **row} for at, row in enumerate(beside)]
    assert detect_format(source_of(*texts), coded).format == "labelled_texts"
    asked = [{"prompt": f"Q{at}", "response": f"x {at}", **row} for at, row in enumerate(beside)]
    assert detect_format(source_of(*asked), data).format == "demonstrations"
