"""Lists of responses in one cell: the best one is read where it is clear which it is, and no index is guessed."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.response_lists import place_of
from pipeline.reading.verdicts import Undeclared
from tests.reading.comparing import read, sides
from tests.tiny_models import changed

FUZZ = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
XYZ = ["some x", "some y", "some z"]


@pytest.fixture
def data(params: Params) -> Data:
    return changed(
        params.data, format="auto", source="rows.jsonl", columns=dict.fromkeys(params.data.columns.model_dump())
    )


def listed(*values: Any, column: str, responses: Any = XYZ) -> list[dict[str, Any]]:
    return [{"prompt": f"Q{at}", "responses": responses, column: value} for at, value in enumerate(values)]


def pairs(rows: list[dict[str, Any]], data: Data) -> list[list[Any]]:
    """What each row gives, without what is left over."""
    entries = [entry for entry in read(rows, data) if not entry.unused]
    return [[sides(entry) for entry in entries if entry.rows == (at,)] for at in range(1, len(rows) + 1)]


def best_of(at: int, responses: list[str]) -> list[tuple[str, str]]:
    return [(responses[at], other) for other in responses if other != responses[at]]


@FUZZ
@given(data_of=st.data())
def test_every_way_to_say_the_best_gives_it_back(data_of: st.DataObject, data: Data) -> None:
    """Random goodness of random responses: no pair turns round, appears, or is lost without a count."""
    count = data_of.draw(st.integers(2, 4))
    rows, wanted = [], []
    way = data_of.draw(st.sampled_from(["index 0", "index 1", "text", "letter", "name", "scores", "ranks", "highest"]))
    in_cells = data_of.draw(st.booleans())
    for number in range(data_of.draw(st.integers(1, 6))):
        goodness = data_of.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count, unique=True))
        responses = [f"response text {number} {at}" for at in range(count)]
        order = sorted(range(count), key=goodness.__getitem__)
        best, worst = order[-1], order[0]
        said: dict[str, Any] = {
            "index 0": {"chosen_index": best},
            "index 1": {"chosen_index": best + 1},
            "text": {"best": responses[best]},
            "letter": {"best": "ABCD"[best]},
            "name": {"winner": f"Response {'abcd'[best]}"},
            "scores": {"scores": goodness},
            "ranks": {"ranks": [count - order.index(at) for at in range(count)]},
            "highest": {"ranks": [order.index(at) for at in range(count)]},
        }[way]
        row = {"prompt": f"Q{number}", "responses": responses, **said}
        rows.append({name: json.dumps(one) if in_cells and isinstance(one, list) else one for name, one in row.items()})
        ends = way in ("scores", "ranks", "highest")
        wanted.append([(responses[best], responses[worst])] if ends else best_of(best, responses))
    declared: dict[str, dict[str, Any]] = {
        "index 0": {"first_index": 0}, "index 1": {"first_index": 1}, "ranks": {"best_rank": "lowest"},
        "highest": {"best_rank": "highest"},
    }  # fmt: skip
    coded = changed(data, **declared.get(way, {}))
    assert pairs(rows, coded) == wanted
    left = sum(entry.unused for entry in read(rows, coded))
    assert left == (len(rows) * (count - 2) if way in ("scores", "ranks", "highest") else 0)


def test_an_index_is_read_where_it_says_from_what_it_counts(data: Data) -> None:
    assert pairs(listed(1, 0, 2, column="chosen_index"), data) == [best_of(at, XYZ) for at in (1, 0, 2)]
    assert pairs(listed("1", "3", column="best"), data) == [best_of(at, XYZ) for at in (0, 2)]
    # the row that says it is none of those that are looked at first
    rows = listed(*[1, 2] * 2000, column="chosen_index")
    rows[3] = {**rows[3], "chosen_index": 3}
    assert pairs(rows, data)[:2] == [best_of(at, XYZ) for at in (0, 1)]


@pytest.mark.parametrize("values", [[1, 2], [2, 1, 1], [1], [0, 3], [1, 2, None]])
@pytest.mark.parametrize("column", ["chosen_index", "best"])
def test_an_index_that_may_count_from_0_or_1_is_refused(column: str, values: list[int], data: Data) -> None:
    with pytest.raises(PipelineError, match=rf"{column} does not say by itself which of responses") as error:
        read(listed(*values, column=column), data)
    message = str(error.value)
    assert f"'{values[0]}' (" in message and f"{column}: {values[0]}" in message
    for first in (0, 1):
        assert f"  first_index: {first}" in message
        if values in ([1, 2], [1]):
            found = pairs(listed(*values, column=column), changed(data, first_index=first))
            assert found == [best_of(value - first, XYZ) for value in values]


def test_numbers_of_other_columns_are_no_places(data: Data) -> None:
    """1 of `winner` beside two responses may say that the first is the better one."""
    rows = listed(0, 1, column="winner", responses=XYZ[:2])
    with pytest.raises(PipelineError, match="column winner does not say by itself which of responses is the best"):
        read(rows, data)
    assert pairs(rows, changed(data, first_index=0)) == [best_of(0, XYZ[:2]), best_of(1, XYZ[:2])]


def test_a_number_out_of_the_list_is_dropped_alone_or_refused(data: Data) -> None:
    rows = listed(*[0, 1] * 20, 3, column="chosen_index")
    *good, last = pairs(rows, changed(data, first_index=0))
    assert good == [best_of(at % 2, XYZ) for at in range(40)] and last == ["undeclared_winner"]
    with pytest.raises(PipelineError, match=r"'7' \(2 times\).*\n.*ignore_columns: \[chosen_index\]"):
        read(listed(7, 7, 0, column="chosen_index"), changed(data, first_index=0))


@pytest.mark.parametrize(
    ("value", "place"),
    [("B", 1), ("response_c", 2), ("the second", 1), ("first response", 0), ("some y", 1), ("tie", "tie"),
     ("skip", "skip")],
)  # fmt: skip
def test_words_that_name_a_response_of_a_list(value: str, place: Any) -> None:
    assert place_of(value, XYZ, None) == place


@pytest.mark.parametrize(
    ("value", "responses"),
    [(1, XYZ), ("2", XYZ), ("response_1", XYZ), (True, XYZ), ("b", ["b", "a"]), ("1", ["1", "2"]), (["b"], XYZ),
     (1.5, XYZ)],
)  # fmt: skip
def test_what_may_name_one_or_another_is_open(value: Any, responses: list[str]) -> None:
    assert isinstance(place_of(value, responses, None), Undeclared)


@pytest.mark.parametrize("value", ["A+", "d", "good", "another text"])
def test_other_words_name_none(value: str) -> None:
    assert place_of(value, XYZ, None) == value


def test_ranks_of_a_list_are_refused_until_declared(data: Data) -> None:
    with pytest.raises(
        PipelineError, match=r"(?s)column ranks does not say by itself whether 1 is the best.*best_rank"
    ):
        read(listed([1, 2, 3], [3, 2, 1], column="ranks"), data)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"scores": [1, 2, 3], "chosen_index": 0}, "verdicts_contradict"),
        ({"scores": [1, 5, 3], "chosen_index": 1}, ""),
        ({"scores": [5, 5, 3], "chosen_index": 1}, ""),
        ({"scores": [1, 2, 3], "rank": [1, 2, 3]}, "verdicts_contradict"),
        ({"scores": [3, 2, 1], "rank": [1, 2, 3]}, ""),
        ({"scores": [3, 2, 1], "rank": [1, 1, 1]}, "verdicts_contradict"),
        ({"scores": [2, 2, 2], "best": "tie"}, "tie"),
        ({"scores": [2, 2, 1], "best": "tie"}, "verdicts_contradict"),
    ],
)
def test_scores_ranks_and_the_best_one_may_not_contradict_each_other(
    row: dict[str, Any], reason: str, data: Data
) -> None:
    declared = changed(data, best_rank="lowest", first_index=0)
    (found,) = pairs([{"prompt": "Q", "responses": XYZ, **row}], declared)
    assert found[0] == reason or (not reason and found[0][0] == XYZ[row.get("chosen_index", 0)])


def test_a_list_of_which_nothing_says_the_best_is_refused(data: Data) -> None:
    with pytest.raises(PipelineError, match=r"nothing says which is the best\. .*data\.columns\.winner .* ranking\."):
        read(listed([2, 0, 1], column="ranking"), data)
    scored = [{"text": text, "score": at} for at, text in enumerate(XYZ)]
    assert pairs(listed("maths", column="label", responses=scored), data) == [[("some z", "some x")]]
