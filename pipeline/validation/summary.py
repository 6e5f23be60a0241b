"""What the accepted pairs look like, and why the others were refused."""

from collections.abc import Sequence
from math import fsum
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.params.schema import ValidatePreferences
from pipeline.validation.contract import ValidatedPairs
from pipeline.validation.facts import SPLITS

_DECIMALS = 6


def summarise_pairs(
    validated: ValidatedPairs, settings: ValidatePreferences, *, ties_without_pair: int
) -> dict[str, Any]:
    """Numbers of the accepted pairs, for the report and MLflow.

    Args:
        ties_without_pair: prompts whose samples the judge or people could not tell apart, which gave no pair; of given
            pairs the rows that say so.

    Returns:
        Counts of pairs: `raw`, `accepted`, `quarantined`, `by_split` (accepted), `truncated_prompts` (accepted),
        `quarantined_by_reason` and `warned_by_reason` (a pair counts once for each rule that it breaks). Shares and
        means over accepted pairs, to 6 decimals: `chosen_longer_share` (in characters, equal lengths count half, as in
        `longer_wins_accuracy`), `mean_margin` (judge-score units, of the pairs that have one; None when none has),
        `mean_*_words` (lengths in words). `chosen_words` and `rejected_words` list the words of every response in the
        order of the pairs.

    Raises:
        PipelineError: there is no accepted pair.
    """
    pairs = validated.facts[validated.kept]
    if not len(pairs):
        raise PipelineError("no pair was accepted, so there is nothing to summarise. See validate_preferences.")
    words = {name: pairs[f"{name}_words"].tolist() for name in ("prompt", "chosen", "rejected")}
    margins = pairs["margin"][~np.isnan(pairs["margin"])].tolist()
    return {
        "raw": len(validated.rows),
        "accepted": len(pairs),
        "quarantined": len(validated.refused),
        "by_split": {split: int(np.count_nonzero(pairs["split"] == at)) for at, split in enumerate(SPLITS)},
        "quarantined_by_reason": {code: count for code, count in validated.counts.items() if code in settings.reject},
        "warned_by_reason": {code: count for code, count in validated.counts.items() if code in settings.warn},
        "truncated_prompts": validated.truncated_prompts,
        "ties_without_pair": ties_without_pair,
        # equal lengths count half
        "chosen_longer_share": _mean(((1.0 + pairs["longer"]) / 2).tolist()),
        "mean_margin": _mean(margins) if margins else None,
        **{f"mean_{name}_words": _mean(counts) for name, counts in words.items()},
        "chosen_words": words["chosen"],
        "rejected_words": words["rejected"],
    }


def _mean(values: Sequence[float]) -> float:
    return round(fsum(values) / len(values), _DECIMALS)
