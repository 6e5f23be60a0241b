"""What the accepted pairs look like, and why the others were refused."""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Any

from pipeline.errors import PipelineError
from pipeline.params.schema import ValidatePreferences
from pipeline.validation.contract import ValidatedPairs
from pipeline.validation.pair_rules import SPLITS

_DECIMALS = 6


def summarise_pairs(
    validated: ValidatedPairs, settings: ValidatePreferences, *, ties_without_pair: int
) -> dict[str, Any]:
    """Numbers of the accepted pairs, for the report and MLflow.

    Args:
        ties_without_pair: prompts whose samples the judge or people could not tell apart, which gave no pair.

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
    pairs = validated.accepted
    if not pairs:
        raise PipelineError("no pair was accepted, so there is nothing to summarise. See validate_preferences.")
    words = {name: [len(pair[name].split()) for pair in pairs] for name in ("prompt", "chosen", "rejected")}
    margins = [pair["margin"] for pair in pairs if pair["margin"] is not None]
    return {
        "raw": len(pairs) + len(validated.quarantined),
        "accepted": len(pairs),
        "quarantined": len(validated.quarantined),
        "by_split": {split: sum(pair["split"] == split for pair in pairs) for split in SPLITS},
        "quarantined_by_reason": {code: count for code, count in validated.counts.items() if code in settings.reject},
        "warned_by_reason": {code: count for code, count in validated.counts.items() if code in settings.warn},
        "truncated_prompts": validated.truncated_prompts,
        "ties_without_pair": ties_without_pair,
        "chosen_longer_share": _mean([_longer_share(pair) for pair in pairs]),
        "mean_margin": _mean(margins) if margins else None,
        **{f"mean_{name}_words": _mean(counts) for name, counts in words.items()},
        "chosen_words": words["chosen"],
        "rejected_words": words["rejected"],
    }


def _mean(values: Sequence[float]) -> float:
    return round(fsum(values) / len(values), _DECIMALS)


def _longer_share(pair: Mapping[str, Any]) -> float:
    """1 when the chosen response has more characters, 0 when it has fewer, 0.5 when as many."""
    chosen, rejected = len(pair["chosen"]), len(pair["rejected"])
    return 0.5 if chosen == rejected else float(chosen > rejected)
