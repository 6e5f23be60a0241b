"""The accepted pairs in numbers, and why the others were quarantined."""

from collections.abc import Sequence
from math import fsum

import numpy as np

from pipeline.data.splits import PAIR_SPLITS
from pipeline.errors import PipelineError
from pipeline.params.schema import ValidatePreferences
from pipeline.results.preferences import PreferenceSummary
from pipeline.validation.contract import ValidatedPairs

_DECIMALS = 6


def tell_counts(validated: ValidatedPairs, settings: ValidatePreferences) -> None:
    """Say on the terminal how many pairs are accepted, and which rules pairs break."""
    print(f"{len(validated.kept)} of {len(validated.rows)} pairs accepted", flush=True)
    for code, count in validated.counts.items():
        if count:
            print(f"  {'reject' if code in settings.reject else 'warn  '}  {code}: {count}", flush=True)


def summarise_pairs(
    validated: ValidatedPairs, settings: ValidatePreferences, *, ties_without_pair: int
) -> PreferenceSummary:
    """Numbers of the accepted pairs, for the report and MLflow.

    Args:
        ties_without_pair: how many prompts gave no pair, because the judge or people could not tell their samples
            apart; with given pairs, how many rows are ties.

    Raises:
        PipelineError: no pair was accepted.
    """
    pairs = validated.facts[validated.kept]
    if not len(pairs):
        raise PipelineError("no pair was accepted, so there is nothing to summarise. See validate_preferences.")
    words = {name: pairs[f"{name}_words"].tolist() for name in ("prompt", "chosen", "rejected")}
    margins = pairs["margin"][~np.isnan(pairs["margin"])].tolist()
    return PreferenceSummary(
        raw=len(validated.rows),
        accepted=len(pairs),
        quarantined=len(validated.refused),
        by_split={split: int(np.count_nonzero(pairs["split"] == at)) for at, split in enumerate(PAIR_SPLITS)},
        quarantined_by_reason={code: count for code, count in validated.counts.items() if code in settings.reject},
        warned_by_reason={code: count for code, count in validated.counts.items() if code in settings.warn},
        truncated_prompts=validated.truncated_prompts,
        ties_without_pair=ties_without_pair,
        chosen_longer_share=_mean(((1.0 + pairs["longer"]) / 2).tolist()),
        mean_margin=_mean(margins) if margins else None,
        mean_prompt_words=_mean(words["prompt"]),
        mean_chosen_words=_mean(words["chosen"]),
        mean_rejected_words=_mean(words["rejected"]),
        chosen_words=words["chosen"],
        rejected_words=words["rejected"],
    )


def _mean(values: Sequence[float]) -> float:
    return round(fsum(values) / len(values), _DECIMALS)
