"""The worth of a judge: its agreement with people on pairs of texts."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.data.passages import Passage
from pipeline.evaluation.judge import judge_agreement, liked_and_disliked
from pipeline.evaluation.statistics import wilson_interval
from pipeline.judges.pointwise import PointwiseJudge
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

    def counts(self) -> dict[str, float]:
        return {"malformed": 1}


def test_texts_meet_in_their_order() -> None:
    assert liked_and_disliked(ROWS, 9) == [tuple(ended(pair)) for pair in (("***", "*"), ("*", "**"), ("****", "bb"))]
    assert liked_and_disliked(ROWS, 1) == [tuple(ended(("***", "*")))]


def test_agreement_is_over_the_pairs_with_a_verdict_and_ties_count_half() -> None:
    pairs = [tuple(ended(pair)) for pair in (("***", "*"), ("*", "**"), ("*a", "*b"), ("x", "y"))]
    metrics = judge_agreement(Unsure(), pairs)
    assert metrics["held_out_accuracy"] == wilson_interval(1.5, 3)
    assert metrics["held_out_accuracy"]["mean"] == pytest.approx(0.5)
    assert (metrics["texts"], metrics["majority_share"]) == (8, 0.5)
    assert metrics["verdicts"] == {"malformed": 1}


def test_without_labels_nothing_is_known() -> None:
    metrics = judge_agreement(PointwiseJudge(lambda texts: np.zeros(len(texts))), [])
    assert metrics["held_out_accuracy"] == {"mean": 0.5, "low": 0.0, "high": 1.0}
    assert metrics["texts"] == 0 and "verdicts" not in metrics
