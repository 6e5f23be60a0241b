"""Ratings, rankings and thumbs are held against other verdicts, prompt by prompt."""

from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from tests.reading.comparing import read
from tests.tiny_models import changed


@pytest.fixture
def data(params: Params) -> Data:
    return changed(
        params.data, format="auto", source="rows.jsonl", columns=dict.fromkeys(params.data.columns.model_dump())
    )


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
    ("thumbs_down", [False, True] * 3, [False, True, False, True, True, False]),
    ("is_bad", [0, 1] * 3, [0, 1, 0, 1, 1, 0]),
    ("is_preferred", ["Y", "N"] * 3, ["Y", "N", "Y", "N", "N", "Y"]),
]


@pytest.mark.parametrize(("column", "agrees", "against"), OF_PROMPTS, ids=[case[0] for case in OF_PROMPTS])
def test_opinions_beside_ratings(column: str, agrees: list[Any], against: list[Any], data: Data) -> None:
    def rated(values: list[Any]) -> list[dict[str, Any]]:
        return prompts(*({**row, column: value} for row, value in zip(GOOD, values, strict=True)))

    rating = changed(data, format="ratings")
    assert len([one for one in read(rated(agrees), rating) if one.record]) == 3
    with pytest.raises(PipelineError, match=r"score and .* contradict each other in 1 of 3 prompts"):
        read(rated(against), rating)


def test_words_for_good_and_bad_have_one_direction(data: Data) -> None:
    rows = prompts(*({**row, "feedback": word} for row, word in zip(GOOD, ["bad", "good"] * 3, strict=True)))
    with pytest.raises(PipelineError, match="3 of 3 prompts"):
        read(rows, changed(data, format="ratings"))


def test_prompts_side_by_side_in_a_large_source_are_held_against_it(data: Data) -> None:
    rows = prompts(*({"score": at % 2, "is_preferred": at % 2 == 1} for at in range(5000)))
    rows[4242]["is_preferred"], rows[4243]["is_preferred"] = True, False
    with pytest.raises(PipelineError, match=r"1 of 2,500 prompts\. Row 4244"):
        read(rows, changed(data, format="ratings"))


@pytest.mark.parametrize("chat", [True, False])
def test_a_prompt_is_what_the_reader_takes_for_one(chat: bool, data: Data) -> None:
    """An instruction with its input, or the turns before the response."""
    rows = prompts(*({"score": at % 2, "is_preferred": at % 2 == 1} for at in range(20)))
    rows[4]["is_preferred"], rows[5]["is_preferred"] = True, False
    for row in rows:
        asked, said = row.pop("prompt"), row.pop("response")
        turns = [{"role": role, "content": text} for role, text in (("user", asked), ("assistant", said))]
        row |= {"messages": turns} if chat else {"instruction": "Answer.", "input": asked, "response": said}
    with pytest.raises(PipelineError, match="1 of 10 prompts"):
        read(rows, changed(data, format="ratings"))


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
    ("disliked", [False, True] * 3, [False, True, False, True, True, False], "2 of 6 rows"),
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


def test_each_pair_of_liked_and_disliked_responses_is_held(data: Data) -> None:
    rewards = [9, 2, 1, 8, 9, 1]
    rows = [
        {"prompt": "Q", "response": f"r{at}", "label": at % 2 == 0, "reward": one} for at, one in enumerate(rewards)
    ]
    with pytest.raises(PipelineError, match="1 of 3 prompts"):
        read(rows, changed(data, format="thumbs"))


def test_opinions_beside_a_layout_of_ratings(data: Data) -> None:
    def rated(at: int, good: int, preferred: bool) -> dict[str, Any]:
        others = dict.fromkeys(("correctness", "coherence", "complexity", "verbosity"), 1)
        return {"prompt": f"Q{at}", "response": f"r{good}", "helpfulness": good, **others, "is_preferred": preferred}

    agrees = [rated(at, good, good == 4) for at in range(3) for good in (4, 1)]
    assert len([one for one in read(agrees, data) if one.record]) == 3
    with pytest.raises(PipelineError, match=r"the layout helpsteer_ratings and is_preferred .* 1 of 3 prompts"):
        read([*agrees[:4], rated(2, 4, False), rated(2, 1, True)], data)
