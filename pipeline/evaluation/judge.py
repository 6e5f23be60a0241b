"""What a judge is worth: its agreement with people on texts that it was not fitted on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.statistics import Interval, wilson_interval
from pipeline.judges.protocol import Judge

_NOTHING_KNOWN: Interval = {"mean": 0.5, "low": 0.0, "high": 1.0}
"""Where there are no labels."""


def liked_and_disliked(rows: Sequence[Mapping[str, Any]], at_most: int) -> list[tuple[str, str]]:
    """The first texts that people labelled 1, each beside one labelled 0.

    The two texts that prepare_data makes of a preference pair are adjacent in `rows`, so they meet here again.
    """
    liked, disliked = ([row["text"] for row in rows if row["label"] == label] for label in (1, 0))
    return list(zip(liked, disliked, strict=False))[:at_most]


def judge_agreement(judge: Judge, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
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
