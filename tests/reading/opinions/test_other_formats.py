"""Lists, ratings, rankings, thumbs and layouts are held against other verdicts, too."""

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
]


@pytest.mark.parametrize(("column", "agrees", "against"), TWO, ids=[case[0] for case in TWO])
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


def prompts(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Three prompts with two responses each, the first of them the better one."""
    return [{"prompt": f"Question {at // 2}", "response": f"response {at}", **row} for at, row in enumerate(rows)]


GOOD = [{"score": 5}, {"score": 1}, {"score": 4}, {"score": 2}, {"score": 3}, {"score": 1}]
OF_PROMPTS: list[tuple[str, list[Any], list[Any]]] = [
    ("is_preferred", [True, False] * 3, [True, False, True, False, False, True]),
    ("thumbs_up", [1, 0] * 3, [1, 0, 1, 0, 0, 1]),
    ("label", [0, 1] * 3, [0, 1, 0, 1, 1, 0]),
    ("feedback", ["good", "bad"] * 3, ["good", "bad", "good", "bad", "bad", "good"]),
    ("best", ["yes", "no"] * 3, ["yes", "no", "yes", "no", "no", "yes"]),
    ("rejected", [False, True] * 3, [False, True, False, True, True, False]),
    ("rank", [1, 2] * 3, [1, 2, 1, 2, 2, 1]),
]


@pytest.mark.parametrize(("column", "agrees", "against"), OF_PROMPTS, ids=[case[0] for case in OF_PROMPTS])
def test_opinions_beside_ratings(column: str, agrees: list[Any], against: list[Any], data: Data) -> None:
    def rated(values: list[Any]) -> list[dict[str, Any]]:
        return prompts(*({**row, column: value} for row, value in zip(GOOD, values, strict=True)))

    rating = changed(data, format="ratings")
    assert len([one for one in read(rated(agrees), rating) if one.record]) == 3
    with pytest.raises(PipelineError, match=r"score and .* contradict each other in 1 of 3 prompts"):
        read(rated(against), rating)


@pytest.mark.parametrize(
    ("column", "agrees", "against"),
    [("best", [True, False] * 3, [True, False, True, False, False, True]),
     ("is_chosen", [1, 0] * 3, [1, 0, 1, 0, 0, 1])],
)  # fmt: skip
def test_opinions_beside_ranks(column: str, agrees: list[Any], against: list[Any], data: Data) -> None:
    def ranked(values: list[Any]) -> list[dict[str, Any]]:
        return prompts(*({"rank": at % 2 + 1, column: value} for at, value in enumerate(values)))

    ranking = changed(data, format="rankings", best_rank="lowest")
    assert len([one for one in read(ranked(agrees), ranking) if one.record]) == 3
    with pytest.raises(PipelineError, match=r"rank and .* contradict each other in 1 of 3 prompts"):
        read(ranked(against), ranking)


THUMBS: list[tuple[str, list[Any], list[Any], str]] = [
    ("is_preferred", [True, False] * 3, [True, False, True, False, False, True], "2 of 6 rows"),
    ("liked", [1, 0] * 3, [1, 0, 1, 0, 0, 1], "2 of 6 rows"),
    ("reward", [2.5, 1.5] * 3, [2.5, 1.5, 2.5, 1.5, 0.5, 1.5], "1 of 3 prompts"),
    ("rank", [1, 2] * 3, [1, 2, 1, 2, 2, 1], "1 of 3 prompts"),
]


@pytest.mark.parametrize(("column", "agrees", "against", "count"), THUMBS, ids=[case[0] for case in THUMBS])
def test_opinions_beside_thumbs(column: str, agrees: list[Any], against: list[Any], count: str, data: Data) -> None:
    def labelled(values: list[Any]) -> list[dict[str, Any]]:
        return prompts(*({"label": at % 2 == 0, column: value} for at, value in enumerate(values)))

    thumbs = changed(data, format="thumbs")
    assert len([one for one in read(labelled(agrees), thumbs) if one.record]) == 3
    with pytest.raises(PipelineError, match=f"label and .* contradict each other in {count}"):
        read(labelled(against), thumbs)


def test_words_of_a_label_that_are_no_opinion_are_left_alone(data: Data) -> None:
    topics = ["maths", "code", "law", "maths", "law", "code"]
    rows = prompts(*({**row, "label": topic} for row, topic in zip(GOOD, topics, strict=True)))
    assert len([one for one in read(rows, changed(data, format="ratings")) if one.record]) == 3


LISTS: list[tuple[str, list[Any], list[Any]]] = [
    ("preferred_response", ["q0 r1", "q1 r1", "q2 r1"], ["q0 r1", "q1 r0", "q2 r1"]),
    ("winner", ["B", "B", "B"], ["B", "A", "B"]),
    ("winner", [1, 1, 1], [1, 0, 1]),
    ("label", [2, 2, 2], [2, 1, 2]),
    ("loser", ["q0 r0", "q1 r2", "q2 r0"], ["q0 r0", "q1 r1", "q2 r0"]),
    ("ranks", [[3, 1, 2]] * 3, [[3, 1, 2], [1, 2, 3], [3, 1, 2]]),
    ("ratings", [[1, 9, 2]] * 3, [[1, 9, 2], [9, 1, 2], [1, 9, 2]]),
]


@pytest.mark.parametrize(("column", "agrees", "against"), LISTS, ids=[f"{case[0]}-{case[1][0]}" for case in LISTS])
@pytest.mark.parametrize("inside", [True, False])
def test_opinions_beside_scored_lists(
    column: str, agrees: list[Any], against: list[Any], inside: bool, data: Data
) -> None:
    """Scores that stand in the list, or in a column of their own."""

    def listed(values: list[Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for at, value in enumerate(values):
            texts, scores = [f"q{at} r{place}" for place in range(3)], [1.5, 4.5, 2.5]
            scored = [{"text": text, "score": score} for text, score in zip(texts, scores, strict=True)]
            lists = {"responses": scored} if inside else {"responses": texts, "scores": scores}
            rows.append({"prompt": f"Q{at}", **lists, column: value})
        return rows

    scored = changed(
        data, format="scored_responses", best_rank="lowest", columns={**data.columns.model_dump(), "winner": None}
    )
    assert len([one for one in read(listed(agrees), scored) if one.record]) == 3
    found = []
    try:
        found = read(listed(against), scored)
    except PipelineError as error:
        assert "contradict each other in 1 of 3 rows" in str(error)
    # a column that is read itself, as usual names are, drops its row
    assert not found or [one.reason for one in found if not one.unused] == ["", "verdicts_contradict", ""]


def test_opinions_beside_a_layout(data: Data) -> None:
    def turns(at: int, winner: str, says: str) -> dict[str, Any]:
        won = {f"winner_model_{side}": int(winner == side) for side in "ab"}
        texts = {f"response_{side}": f'["{side} {at}"]' for side in "ab"}
        return {"prompt": f'["Q{at}"]', **texts, **won, "winner_tie": 0, "preferred": says}

    agrees = [turns(at, winner, winner) for at, winner in enumerate("abab")]
    assert len([one for one in read(agrees, data) if one.record]) == 4
    with pytest.raises(PipelineError, match=r"preferred both say .* in 1 of 4 rows"):
        read([*agrees[:3], turns(3, "b", "a")], data)
