"""The choices that a refusal offers, in their order, and what it takes to find them in a large source."""

import time
from collections.abc import Callable

import pytest
from datasets import Dataset

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.coding_advice import Values, advise
from pipeline.reading.formats import detect_format
from pipeline.reading.sources import Source
from tests.tiny_models import changed

MANY = 30_000


@pytest.fixture
def data(params: Params) -> Data:
    return changed(
        params.data, format="auto", source="rows.jsonl", columns=dict.fromkeys(params.data.columns.model_dump())
    )


def choices(kind: str, values: list[str], **known: str | None) -> list[str]:
    message = advise(
        kind, "f", "winner", Values(dict.fromkeys(values, 1), (1, {"winner": values[0]})), ("a", "b"), clear=known
    )  # type: ignore[arg-type]
    return [line.strip().removeprefix("# if ") for line in message.splitlines() if line.strip().startswith("#")]


ZERO, ONE = "0 is the first response:", "1 is the first response and 2 the second:"
TWO, LABEL = "2 is the first response and 1 the second:", "1 is the first response and 0 the second:"


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["1", "0"], [ZERO, LABEL]), (["0", "1"], [ZERO, LABEL]), (["2", "1"], [ONE, TWO]),
        (["2", "0", "1"], [ZERO, ONE, TWO, LABEL]), (["1"], [ZERO, ONE, TWO, LABEL]), (["0"], [ZERO, LABEL]),
        (["1", "-1", "0"], ["numbers below 0 are for the first response:", "it is the other way round:"]),
        (["1.5", "1", "2"], ["numbers below 1.5 are for the first response:", "it is the other way round:"]),
        (["0.25", "0.75"], ["numbers below 0.5 are for the first response:", "it is the other way round:"]),
        (["true", "false"], ["true says that the first response won:", "it is the other way round:"]),
        (["yes", "no"], ["no says that the first response won:", "it is the other way round:"]),
        (["left", "right", "?"], ["none of them is a vote; else move each value to what it means:"]),
    ],
)  # fmt: skip
def test_choices_begin_with_the_first_response(values: list[str], order: list[str]) -> None:
    """And they do not depend on which value the source has first, or has more of."""
    assert choices("winner", values) == order == choices("winner", values[::-1])


def test_choices_of_labels_and_ranks() -> None:
    more, less = "people should get more of 1:", "people should get more of 0:"
    assert choices("label", ["0", "1"]) == [more, less] == choices("label", ["1", "0"])
    assert choices("rank", ["3", "1"]) == ["rank 1 is the best:", "the largest number is the best:"]


def test_what_is_clear_stands_where_it_belongs_in_each_choice() -> None:
    values = dict.fromkeys(["0", "1", "tie", "Response A"], 1)
    clear = {"tie": "tie", "Response A": "a"}
    message = advise("winner", "f", "winner", Values(values, (1, {"winner": "0"})), ("a", "b"), clear=clear)
    assert "first: ['Response A', '0']\n    second: ['1']\n    tie: ['tie']" in message
    assert "first: ['Response A', '1']\n    second: ['0']\n    tie: ['tie']" in message


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda at: str(at % 2), "has '0' (15,000 times), '1' (15,000 times)"),
        (lambda at: f"Response {'AB'[at % 2]} is vague {at}. " + "It goes on about it. " * 40, "In 2,000 rows"),
        (lambda at: f"Nobody knows {at}, because of it" + " and so on" * 8, "In 2,000 rows from all over it"),
    ],
)  # fmt: skip
def test_advice_on_a_large_source_takes_no_longer_than_reading_it(
    value: Callable[[int], str], said: str, data: Data
) -> None:
    rows = {"prompt": ["Q"] * MANY, "response_a": ["one"] * MANY, "response_b": ["two"] * MANY}
    source = Source("rows.jsonl", Dataset.from_dict({**rows, "winner": [value(at) for at in range(MANY)]}), 1.0)
    started = time.process_time()
    for _ in source.rows:
        pass
    read = time.process_time() - started
    started = time.process_time()
    with pytest.raises(PipelineError, match="does not say by itself who won") as error:
        detect_format(source, data)
    assert time.process_time() - started < 3 * read
    assert said in str(error.value)
