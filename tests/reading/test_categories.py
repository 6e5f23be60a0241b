"""The kind of prompt of a row: from which columns, how it is written, and which row of several says it."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from pipeline.data.intake import warn_of_missing_categories
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.categories import category_of, default_category
from pipeline.reading.entries import read_entries
from pipeline.reading.formats import describe_format, detect_format, select_fields
from pipeline.reading.json_rows import load_json_rows
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style
from tests.tiny_models import changed

PAIR = {"prompt": "Q?", "chosen": " yes", "rejected": " no"}


@pytest.fixture
def data(params: Params) -> Data:
    columns = dict.fromkeys(params.data.columns.model_dump())
    return changed(params.data, format="auto", source="rows.jsonl", columns=columns)


def categories(rows: list[dict[str, Any]], data: Data, column: str | list[str] | None = None) -> list[str]:
    """Of the entries of a source, in their order."""
    source = Source("rows.jsonl", Dataset.from_list(rows), 1.0)
    named = changed(data, columns={**data.columns.model_dump(), "category": column})
    resolved = detect_format(source, named)
    return [entry.category for entry in read_entries(select_fields(source, resolved), resolved, Style())]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("chat", "chat"),
        ("  two \n words ", "two words"),
        ("0", "kind=0"),  # the cell of a table
        (1, "kind=1"),
        (1.0, "kind=1"),
        (-0.5, "kind=-0.5"),
        (True, "kind=true"),
        ("False", "kind=False"),
        (None, "kind=none"),
        ("", "kind=none"),
        (["a", "b"], '["a", "b"]'),
        ("\ud800 cut", "\\ud800 cut"),
        ("x" * 200, "x" * 79 + "…"),
    ],
)
def test_a_value_as_a_category(value: Any, text: str) -> None:
    assert category_of({"kind": value, "other": 1}, ["kind"]) == text


def test_values_of_several_columns_are_joined_in_their_order() -> None:
    assert category_of({"hard": 1, "task": "code", "x": "y"}, ["task", "hard"]) == "code / hard=1"


@pytest.mark.parametrize(
    ("column", "found"), [("Subset", "math"), ("task", "math"), ("category", "math"), ("x", "all")]
)
def test_usual_columns_are_taken_and_others_are_not(column: str, found: str, data: Data) -> None:
    assert categories([{**PAIR, column: "math"}], data) == [found]


def test_a_named_column_comes_before_the_usual_ones(data: Data) -> None:
    row = {**PAIR, "category": "math", "level": 3}
    assert categories([row], data, "level") == ["level=3"]
    assert categories([row], data, ["category", "level"]) == ["math / level=3"]
    # a column that a source lacks is no reason to overlook those that it has
    assert categories([row], data, ["level", "missing"]) == ["math"]


def test_the_label_of_a_text_is_a_category_but_the_verdict_on_a_pair_is_none(data: Data) -> None:
    coded = changed(data, label_coding={"wanted": [1], "unwanted": [0]})
    assert categories([{"text": "Good.", "label": 1}, {"text": "Bad.", "label": 0}], coded, "label") == [
        "label=1", "label=0",
    ]  # fmt: skip
    thumbs = [{"prompt": "Q?", "response": "a", "label": True}, {"prompt": "Q?", "response": "b", "label": False}]
    assert categories(thumbs, data, "label") == ["all"]


def test_of_several_rows_the_first_one_says_it(data: Data) -> None:
    scores = {"a": 2, "b": 1, "c": 3}
    rated = [{"prompt": "Q?", "response": text, "score": score, "task": text} for text, score in scores.items()]
    # c and b are the pair, a is between them
    assert categories(rated, data) == ["b", "a"]
    votes = [
        {"prompt": "Q?", "response_a": "x", "response_b": "y", "winner": "a", "annotator": who, "task": task}
        for who, task in (("ann", "first"), ("bob", "second"))
    ]
    assert categories(votes, data) == ["first"]


def test_one_row_gives_all_its_pairs_its_category(data: Data) -> None:
    row = {"prompt": "Q?", "answer_1": "a", "answer_2": "b", "answer_3": "c", "preference": ["a", "b", "a"]}
    assert categories([{**row, "subset": "s"}], data) == ["s"] * 3


def test_a_broken_line_keeps_its_reason_and_the_others_their_category(data: Data, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({**PAIR, "task": "t"}) + "\nnot json\n")
    rows = load_json_rows(tmp_path / "rows.jsonl", limit=1000)
    source = Source("rows.jsonl", rows, 1.0)
    resolved = detect_format(source, data)
    entries = list(read_entries(select_fields(source, resolved), resolved, Style()))
    assert [(entry.category, entry.reason) for entry in entries] == [("t", ""), ("all", "malformed_json")]


def test_a_data_set_in_parts_is_one_kind_and_several_have_their_names() -> None:
    assert default_category("a-1.csv", ["a-1.csv", "a-2.csv"]) == default_category("a", ["a"]) == "all"
    assert default_category("helpful", ["helpful", "harmless"]) == "helpful"


def test_the_format_in_words_names_the_columns(data: Data) -> None:
    source = Source("rows.jsonl", Dataset.from_list([{**PAIR, "task": "t", "level": 1}]), 1.0)
    named = changed(data, columns={**data.columns.model_dump(), "category": ["task", "level"]})
    assert describe_format(detect_format(source, named)).endswith("category = task + level")


def test_a_column_that_no_source_has_is_told(data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    named = changed(data, columns={**data.columns.model_dump(), "category": "topic"})
    resolved = [detect_format(Source("rows.jsonl", Dataset.from_list([PAIR]), 1.0), named)]
    warn_of_missing_categories(named, resolved)
    assert "data.columns.category" in capsys.readouterr().out
    warn_of_missing_categories(data, resolved)
    assert capsys.readouterr().out == ""
