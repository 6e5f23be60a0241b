"""The worth of a judge: its agreement with people, what two judges get wrong together, and the gate."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.data.passages import Passage
from pipeline.evaluation.judge import (
    judge_problem,
    liked_and_disliked,
    pair_metrics,
    prompts_of_pairs,
    prompts_of_texts,
    right_about_pairs,
    right_about_texts,
    shared_errors,
    text_metrics,
)
from pipeline.evaluation.statistics import wilson_interval
from pipeline.judges.pointwise import PointwiseJudge
from pipeline.results.judges import HeldOutAccuracy
from tests.passages import ended

ROWS = [
    {"text": text, "label": label}
    for text, label in [("***", 1), ("*", 0), ("*", 1), ("**", 0), ("****", 1), ("a", 1), ("bb", 0), ("more", 1)]
]


class Unsure(PointwiseJudge):
    """Counts stars, and cannot tell where there are none."""

    def __init__(self) -> None:
        super().__init__(lambda texts: np.array([float(one.text.count("*")) for one in texts]))

    def compare(self, prompts: Sequence[str], first: Sequence[Passage], second: Sequence[Passage]) -> np.ndarray:
        found = super().compare(prompts, first, second)
        known = np.array(["*" in a.text + b.text for a, b in zip(first, second, strict=True)], dtype=bool)
        return np.where(known, found, np.nan)


def test_texts_meet_in_their_order() -> None:
    assert liked_and_disliked(ROWS, 9) == [tuple(ended(pair)) for pair in (("***", "*"), ("*", "**"), ("****", "bb"))]
    assert liked_and_disliked(ROWS, 1) == [tuple(ended(("***", "*")))]


def test_agreement_is_over_the_pairs_with_a_verdict_and_ties_count_half() -> None:
    pairs = [tuple(ended(pair)) for pair in (("***", "*"), ("*", "**"), ("*a", "*b"), ("x", "y"))]
    metrics = pair_metrics(right_about_pairs(Unsure(), pairs), ["p1", "p2", "p3", "p4"])
    assert metrics.held_out_accuracy == wilson_interval(1.5, 3)
    assert metrics.held_out_accuracy.mean == pytest.approx(0.5)
    assert (metrics.texts, metrics.majority_share) == (8, 0.5)


@pytest.mark.parametrize("metrics", [pair_metrics(np.zeros(0), []), text_metrics(np.zeros(0), [], [])])
def test_without_labels_nothing_is_known(metrics: dict[str, object]) -> None:
    assert metrics.held_out_accuracy.as_json() == {"mean": 0.5, "low": 0.0, "high": 1.0}
    assert metrics.texts == 0
    assert judge_problem(metrics, min_accuracy=0.6) is None, "what nobody measured is no failure; the page says so"


def test_a_text_about_which_a_judge_says_nothing_counts_half() -> None:
    judge = PointwiseJudge(lambda texts: np.array([{"good": 0.9, "bad": 0.2}.get(one.text, 0.5) for one in texts]))
    rows = [{"text": text, "label": label} for text, label in [("good", 1), ("bad", 1), ("none", 1), ("bad", 0)]]
    right = right_about_texts(judge, rows, window_words=5)
    assert right.tolist() == [1.0, 0.0, 0.5, 1.0]
    assert text_metrics(right, [1, 1, 1, 0], ["a", "b", "c", "d"]).majority_share == 0.75


def test_a_long_text_is_read_as_far_as_a_response_goes() -> None:
    seen: list[str] = []
    judge = PointwiseJudge(lambda texts: np.zeros(len(seen.extend(one.text for one in texts) or texts)))
    right_about_texts(judge, [{"text": "a b c d", "label": 1}], window_words=2)
    assert seen == ["a b"]


def test_the_errors_that_two_judges_share() -> None:
    first = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1.0])
    other = np.array([0, 0, 0, 1, 0, 1, 1, 1, 1, 1.0])
    found = shared_errors(first, other)
    assert found.shared_error_share == pytest.approx(3 / 4), "three of the first one's four errors"
    assert found.expected_shared_error_share == pytest.approx(4 / 10)
    assert found.agreement == pytest.approx(8 / 10)


def test_independent_errors_share_what_chance_shares() -> None:
    generator = np.random.default_rng(0)
    first, other = (generator.random(20_000) < right for right in (0.75, 0.65))
    found = shared_errors(first.astype(float), other.astype(float))
    assert found.shared_error_share == pytest.approx(found.expected_shared_error_share, abs=0.02)
    assert shared_errors(first.astype(float), first.astype(float)).shared_error_share == 1.0


def test_a_tie_is_half_an_error_and_no_verdict_is_none() -> None:
    found = shared_errors(np.array([0.5, 0.0, np.nan]), np.array([0.0, 0.0, 0.0]))
    assert found.as_json() == {"agreement": 0.75, "shared_error_share": 1.0, "expected_shared_error_share": 1.0}
    assert shared_errors(np.array([1.0]), np.array([0.0])).shared_error_share is None
    assert shared_errors(np.array([np.nan]), np.array([0.0])).agreement is None


def measured(right: float, texts: int, majority: float = 0.5) -> HeldOutAccuracy:
    share = wilson_interval(right * texts, texts)
    return HeldOutAccuracy(held_out_accuracy=share, majority_share=majority, texts=texts)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (measured(0.52, 2000), "below judge.min_accuracy 0.6"),
        (measured(0.55, 20), "more labelled test texts"),
        (measured(0.9, 1000, majority=0.9), "always saying the more frequent label"),
    ],
)
def test_a_judge_that_is_right_too_seldom_is_not_trusted(metrics: HeldOutAccuracy, words: str) -> None:
    assert words in str(judge_problem(metrics, min_accuracy=0.6))


def test_a_judge_that_is_right_often_is_trusted() -> None:
    assert judge_problem(measured(0.75, 1000), min_accuracy=0.6) is None


def test_pairs_of_a_prompt_say_less_of_a_judge_than_as_many_others() -> None:
    """A coin that is right on all pairs of a prompt or on none: of 25 prompts with 4 pairs it is seldom trusted."""
    rng, prompts = np.random.default_rng(0), [f"p{number // 4}" for number in range(100)]
    trusted = {True: 0, False: 0}
    for _ in range(300):
        right = np.repeat(rng.integers(0, 2, 25), 4).astype(float)
        for known in trusted:
            metrics = pair_metrics(right, prompts if known else [str(number) for number in range(100)])
            trusted[known] += judge_problem(metrics, min_accuracy=0.55) is None
    assert trusted[True] / 300 < 0.06 < 0.15 < trusted[False] / 300


def test_texts_that_a_pair_gave_belong_to_its_prompt() -> None:
    rows = [
        {"id": "1", "text": "pa", "label": 1, "prompt": "p"}, {"id": "1", "text": "pb", "label": 0, "prompt": "p"},
        {"id": "2", "text": "pc", "label": 1, "prompt": "p"}, {"id": "3", "text": "alone", "label": 0},
    ]  # fmt: skip
    assert prompts_of_texts(rows) == ["p", "p", "p", "3"]
    assert prompts_of_pairs(rows, 2) == ["p", "p"]
