"""What a judge is worth: its agreement with people on texts that it was not fitted on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.data.passages import Passage
from pipeline.evaluation.statistics import Interval, wilson_interval
from pipeline.judges.protocol import Judge
from pipeline.judges.text_classifier import TextClassifierJudge, cut_windows
from pipeline.params.schema import FitJudge

_NOTHING_KNOWN: Interval = {"mean": 0.5, "low": 0.0, "high": 1.0}
"""Where there are no labels."""


def liked_and_disliked(rows: Sequence[Mapping[str, Any]], at_most: int) -> list[tuple[Passage, Passage]]:
    """The first texts that people labelled 1, each beside one labelled 0.

    The two texts that prepare_data makes of a preference pair are adjacent in `rows`, so they meet here again.
    """
    liked, disliked = ([Passage(row["text"], True) for row in rows if row["label"] == label] for label in (1, 0))
    return list(zip(liked, disliked, strict=False))[:at_most]


def classifier_accuracy(
    judge: TextClassifierJudge, rows: Sequence[Mapping[str, Any]], settings: FitJudge
) -> dict[str, Any]:
    """How often a classifier is right about the first window of a text with a human label.

    Args:
        rows: with `text` and `label`, which it was not fitted on.

    Returns:
        `held_out_accuracy`, `majority_share` (what always saying the more frequent label reaches), and `texts`.
    """
    labels = [row["label"] for row in rows]
    right = sum(said == bool(label) for said, label in zip(_likes(judge, rows, settings), labels, strict=True))
    share = sum(labels) / len(labels)
    return {
        "held_out_accuracy": wilson_interval(int(right), len(rows)),
        "majority_share": max(share, 1 - share),
        "texts": len(rows),
    }


def classifier_agreement(
    judge: TextClassifierJudge, other: TextClassifierJudge, rows: Sequence[Mapping[str, Any]], settings: FitJudge
) -> float:
    """Share of these texts that two classifiers put on the same side of 0.5."""
    return float((_likes(judge, rows, settings) == _likes(other, rows, settings)).mean())


def _likes(judge: TextClassifierJudge, rows: Sequence[Mapping[str, Any]], settings: FitJudge) -> np.ndarray:
    return judge.score([cut_windows(row["text"], words=settings.window_words, at_most=1)[0] for row in rows]) > 0.5


def judge_agreement(judge: Judge, pairs: Sequence[tuple[Passage, Passage]]) -> dict[str, Any]:
    """How often the judge prefers the text that people liked, a tie counting half.

    Args:
        pairs: liked and disliked texts, whole, without a prompt.

    Returns:
        `held_out_accuracy` over the pairs with a usable verdict (0.5 within [0, 1] when there are none),
        `majority_share` (0.5: of a pair one text is the liked one), `texts` that were read, and `verdicts` of a judge
        that counts them.
    """
    liked, disliked = [one for one, _ in pairs], [other for _, other in pairs]
    found = judge.compare([""] * len(pairs), liked, disliked)
    known = found[~np.isnan(found)]
    counts = judge.counts()
    return {
        "held_out_accuracy": wilson_interval(float(known.sum()), len(known)) if len(known) else _NOTHING_KNOWN,
        "majority_share": 0.5,
        "texts": 2 * len(pairs),
        **({"verdicts": counts} if counts else {}),
    }
