"""The pairs that reward models are measured on, and their accuracy in groups."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from pipeline.data.passages import Passage
from pipeline.data.preferences import TextPair
from pipeline.evaluation.statistics import Interval, wilson_interval

GROUP_FIELDS = ("source", "file", "subset", "category")
"""What a pair record may say of the kind of pair it is, `file` inside its `origin`; what it lacks is no group."""


@dataclass(frozen=True)
class EvaluationPair:
    """A pair with what its accuracy is broken down by."""

    texts: TextPair
    lengths: tuple[int, int]
    """Characters of the chosen and of the rejected response."""
    groups: Mapping[str, str]
    """Values of `GROUP_FIELDS`."""
    judge_margin: float | None
    """Judge's score of the chosen response minus that of the rejected one; None when nobody scored them."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "EvaluationPair":
        """From a pair record."""
        chosen, rejected = row.get("chosen_score"), row.get("rejected_score")
        margin = row.get("margin") if chosen is None or rejected is None else chosen - rejected
        named = {**row, **(row.get("origin") or {})}
        groups = {field: str(named[field]) for field in GROUP_FIELDS if named.get(field) is not None}
        return cls(TextPair.of(row), (len(row["chosen"]), len(row["rejected"])), groups, margin)


def accuracy_of(margins: np.ndarray) -> Interval | None:
    """Share of margins above 0 with its Wilson interval; a tie is wrong. None without any margin."""
    return wilson_interval(int((margins > 0).sum()), len(margins)) if len(margins) else None


def accuracy_by_group(margins: np.ndarray, pairs: Sequence[EvaluationPair]) -> list[dict[str, Any]]:
    """Accuracy of each value of each group field, in the order of their names.

    A field whose value all pairs share is left out: its group would be all pairs.

    Args:
        margins: (N,), chosen minus rejected score of each pair.
    """
    table = []
    for field in GROUP_FIELDS:
        values = [pair.groups.get(field) for pair in pairs]
        if len(set(values)) == 1:
            continue
        for value in sorted({one for one in values if one is not None}):
            inside = margins[[one == value for one in values]]
            table.append({"field": field, "value": value, "accuracy": accuracy_of(inside), "pairs": len(inside)})
    return table


def accuracy_by_size(margins: np.ndarray, sizes: np.ndarray, *, bins: int) -> list[dict[str, Any]]:
    """Accuracy in bins of equal numbers of pairs, from the smallest to the largest of `sizes`.

    Args:
        margins, sizes: (N,).
        bins: at most so many; fewer pairs than bins give a bin each.
    """
    parts = [part for part in np.array_split(np.argsort(sizes, kind="stable"), bins) if len(part)]
    return [
        {
            "low": float(sizes[part].min()),
            "high": float(sizes[part].max()),
            "accuracy": accuracy_of(margins[part]),
            "pairs": len(part),
        }
        for part in parts
    ]


def length_matched_accuracy(
    margins: np.ndarray, pairs: Sequence[EvaluationPair], *, max_ratio: float
) -> dict[str, Any]:
    """Accuracy on the pairs whose longer response has at most `max_ratio` times the characters of the shorter.

    On these, a model that has learned length alone is no better than a coin.
    """
    matched = margins[[max(pair.lengths) <= max_ratio * min(pair.lengths) for pair in pairs]]
    return {"accuracy": accuracy_of(matched), "pairs": len(matched)}


def judge_agreement(margins: np.ndarray, pairs: Sequence[EvaluationPair]) -> dict[str, Any] | None:
    """How far the model's margins follow the judge's, on the pairs that have them; None without such pairs.

    Returns:
        `pairs`, `spearman` (rank correlation of both margins; None with fewer than 3 pairs or equal margins) and
        `weighted_accuracy` (each pair counts with the size of the judge's margin, so that errors on clear pairs
        weigh more; None where all are 0).
    """
    judged = np.array([np.nan if pair.judge_margin is None else pair.judge_margin for pair in pairs])
    known = ~np.isnan(judged)
    if not known.any():
        return None
    theirs, ours = judged[known], margins[known]
    varied = len(ours) > 2 and np.ptp(ours) > 0 and np.ptp(theirs) > 0
    weight = np.abs(theirs)
    right = np.where(np.sign(ours) == np.sign(theirs), 1.0, 0.0)
    return {
        "pairs": len(ours),
        "spearman": float(spearmanr(ours, theirs).statistic) if varied else None,
        "weighted_accuracy": float((weight * right).sum() / weight.sum()) if weight.sum() else None,
    }


def margin_bins(margins: np.ndarray, pairs: Sequence[EvaluationPair], *, bins: int) -> dict[str, list[dict[str, Any]]]:
    """Accuracy by the size of the judge's margin (pairs that have one) and of the model's own, |margin| each."""
    known = [pair.judge_margin is not None for pair in pairs]
    judged = np.array([abs(pair.judge_margin) for pair in pairs if pair.judge_margin is not None])
    return {
        "judge_margin_bins": accuracy_by_size(margins[known], judged, bins=bins),
        "model_margin_bins": accuracy_by_size(margins, np.abs(margins), bins=bins),
    }


Scorer = Callable[[Sequence[Passage]], np.ndarray]
"""Scores (N,) of N texts, prompt and response each; higher is better."""


def score_pairs(score: Scorer, pairs: Sequence[EvaluationPair]) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N,) of the chosen and (N,) of the rejected responses."""
    scores = score([pair.texts.chosen for pair in pairs] + [pair.texts.rejected for pair in pairs])
    return scores[: len(pairs)], scores[len(pairs) :]
