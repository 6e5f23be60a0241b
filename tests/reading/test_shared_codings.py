"""A coding that was declared for one source is not applied to another that means something else by its values."""

from collections.abc import Sequence
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.entries import read_entries
from pipeline.reading.formats import as_read, detect_format, select_fields
from pipeline.reading.shared_codings import refuse_misfits
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style
from tests.reading.comparing import expected, sides, written
from tests.tiny_models import changed

FUZZ = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
Rows = list[dict[str, Any]]


@pytest.fixture
def data(params: Params) -> Data:
    return changed(
        params.data, format="auto", source="rows.jsonl", columns=dict.fromkeys(params.data.columns.model_dump())
    )


def read(tables: Sequence[Rows], data: Data) -> list[list[Any]]:
    sources = [Source(f"{name}.jsonl", Dataset.from_list(rows), 1.0) for name, rows in zip("ABC", tables, strict=False)]
    resolved = [detect_format(source, data) for source in sources]
    refuse_misfits(sources, resolved, data)
    return [
        [sides(entry) for entry in read_entries(select_fields(source, one), as_read(one), Style())]
        for source, one in zip(sources, resolved, strict=True)
    ]


def declared(data: Data, **lists: list[Any]) -> Data:
    return changed(data, winner_coding={**dict.fromkeys(("first", "second", "tie", "skip")), **lists})


LETTERS, ONES, ZEROS = ("response_a", "response_b"), ("response_1", "response_2"), ("response_0", "response_1")
BOTH = ["a", "b"] * 4
ONE_TWO, ZERO_ONE = {"first": [1], "second": [2]}, {"first": [0], "second": [1], "tie": [2]}


@pytest.mark.parametrize(
    ("lists", "tables", "said"),
    [
        # 1 is the first of A and the second of B
        (ONE_TWO, [(BOTH, (1, 2, 0), ONES), (BOTH, (0, 1, 2), ZEROS)], r"'0' \(4 times\)"),
        (ONE_TWO, [(BOTH, (1, 2, 0), LETTERS), (BOTH, (0, 1, 2), LETTERS)], r"'0' \(4 times\)"),
        (ONE_TWO, [(BOTH, (1, 2, 0), ONES), (["b"] * 8, (0, 1, 2), ZEROS)], "'1' is the number of the other response"),
        (ZERO_ONE, [(BOTH, (0, 1, 2), ZEROS), (BOTH, (1, 2, 0), ONES)], "'1' is the number of the other response"),
        (ZERO_ONE, [(BOTH, (0, 1, 2), LETTERS), (BOTH, (1, 2, 0), ONES)], "'1' is the number of the other response"),
        (ZERO_ONE, [(BOTH, (0, 1, 2), LETTERS), (BOTH, (1, 2, 0), LETTERS)], "the first response never won"),
    ],
)  # fmt: skip
def test_a_coding_of_another_source_is_refused(lists: Any, tables: Any, said: str, data: Data) -> None:
    rows = [written(*table) for table in tables]
    with pytest.raises(PipelineError, match=rf"(?s)^B\.jsonl: .*winner.*{said}") as error:
        read(rows, declared(data, **lists))
    first, second = tables[1][2]
    assert f"first: [..., {first}], second: [..., {second}]" in str(error.value)
    # what the refusal says to do
    named = [{**row, "winner": str(row["winner"])} for row in rows[0]]
    mended = written(tables[1][0], (first, second, "tie"), tables[1][2])
    both = {side: [*values, name] for (side, values), name in zip(lists.items(), (first, second), strict=False)}
    assert read([named, mended], declared(data, **{**lists, **both})) == [
        [expected(at, verdict) for at, verdict in enumerate(table[0])] for table in tables
    ]


@FUZZ
@given(
    one=st.lists(st.sampled_from("ab"), min_size=2, max_size=12).filter(lambda found: len(set(found)) == 2),
    two=st.lists(st.sampled_from("abt"), min_size=1, max_size=12),
)
def test_sources_of_one_coding_are_read(one: list[str], two: list[str], data: Data) -> None:
    if set(two) in ({"a", "t"}, {"b", "t"}):
        two = [*two, "a", "b"]
    tables = [written(one, (0, 1, 2), LETTERS), written(two, (0, 1, 2), LETTERS)]
    coded = declared(data, first=[0], second=[1], tie=[2])
    assert read(tables, coded) == [[expected(at, verdict) for at, verdict in enumerate(found)] for found in (one, two)]


def test_one_source_alone_may_mean_its_numbers_otherwise(data: Data) -> None:
    """`response_1` beside a 1 that says that the first is better, as who declares it knows."""
    rows = written(BOTH, (1, 0, 2), ZEROS)
    assert read([rows], declared(data, first=[1], second=[0])) == [[expected(at, one) for at, one in enumerate(BOTH)]]


def test_a_few_values_that_a_coding_lacks_are_dropped_and_many_are_refused(data: Data) -> None:
    rows = written(BOTH * 5, (1, 2, 0), LETTERS)
    rows[3]["winner"] = 7
    (found,) = read([rows], declared(data, first=[1], second=[2]))
    assert found.count("undeclared_winner") == 1 and len(found) == 40
    rows[4]["winner"] = rows[5]["winner"] = 0
    with pytest.raises(PipelineError, match=r"'0' \(2 times\), '7' \(1 times\), which data\.winner_coding"):
        read([rows], declared(data, first=[1], second=[2]))


def test_labels_of_another_source_are_refused(data: Data) -> None:
    def thumbs(good: int, bad: int) -> Rows:
        return [{"prompt": "Q", "response": str(label), "label": label} for label in (good, bad) * 3]

    coded = changed(data, label_coding={"wanted": [1], "unwanted": [0]})
    assert len(read([thumbs(1, 0), thumbs(1, 0)], coded)) == 2
    with pytest.raises(PipelineError, match=r"B\.jsonl: .* has '2' \(3 times\), which data\.label_coding"):
        read([thumbs(1, 0), thumbs(2, 1)], coded)


def test_names_and_texts_of_a_row_are_no_codes(data: Data) -> None:
    rows = [
        {**row, "model_a": one, "model_b": two, "winner": "gpt"}
        for row, one, two in zip(written(["a", "b"], (0, 0, 0), LETTERS), ("gpt", "x"), ("y", "gpt"), strict=True)
    ]
    assert read([rows], declared(data, tie=["none"])) == [[expected(0, "a"), expected(1, "b")]]
