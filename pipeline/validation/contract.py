"""The contract of a preference pair: every row is accepted, or quarantined with its reasons.

The rules run in rounds, from the single field to the whole set. A row that one round refuses does not enter the
next: its texts are not measured when its types are wrong, and a refused row never makes another one a duplicate or
a leak. So a row's reasons all come from one round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pipeline.errors import PipelineError
from pipeline.params.schema import Rule, ValidatePreferences
from pipeline.validation.pair_rules import SCORES, find_reasons
from pipeline.validation.reasons import REASONS


@dataclass(frozen=True)
class ValidatedPairs:
    """Every raw row, on one of two sides, in the raw order."""

    accepted: list[dict[str, Any]]
    quarantined: list[dict[str, Any]]
    """Raw rows plus `reasons` (sorted codes) and `row` (0-based position in the raw rows)."""
    counts: dict[str, int]
    """Rows by the rule that they break, 0 where there are none; a row counts once for each of its rules."""
    warned: dict[int, set[str]]
    """Codes of the rules in `warn` that accepted rows break, by their position among the accepted."""
    truncated_prompts: int
    """Accepted pairs whose prompt lost its beginning."""
    tokens: Sequence[int] = ()
    """Of prompt and longer response, for each raw row; none where nothing was measured."""


def validate_pairs(
    rows: Sequence[Mapping[str, Any]],
    settings: ValidatePreferences,
    *,
    tokens: Sequence[int] | None = None,
    templated: bool = False,
) -> ValidatedPairs:
    """Accept or quarantine every pair; fields beyond the contract (as `prompt_id`) pass unseen.

    Args:
        tokens: of prompt and longer response, for each row; None measures nothing.
        templated: prompts were written by a chat template.

    Raises:
        PipelineError: there are no rows, a row is no mapping, or the environment switches pandera's checks off.
    """
    if not rows:
        raise PipelineError(
            "there is no preference pair to validate. Lower collect_preferences.min_margin if every prompt was a tie, "
            "or check data.source and data.limits."
        )
    _require_working_checks()
    found = find_reasons(rows, settings, tokens=tokens or [0] * len(rows), templated=templated)
    refused = {index: codes for index, codes in found.items() if codes & settings.reject.keys()}
    kept = [index for index in range(len(rows)) if index not in refused]
    accepted = [dict(rows[index]) for index in kept]
    quarantined = [{**rows[index], "reasons": sorted(refused[index]), "row": index} for index in sorted(refused)]
    assert len(rows) == len(accepted) + len(quarantined), "a pair was lost or counted twice"
    return ValidatedPairs(
        accepted,
        quarantined,
        counts={code: sum(code in codes for codes in found.values()) for code in REASONS},
        warned={at: found[index] for at, index in enumerate(kept) if index in found},
        truncated_prompts=sum("prompt_truncated" in row for row in accepted),
        tokens=tokens or (),
    )


def _require_working_checks() -> None:
    """An environment variable can switch pandera off, and then everything passes: refuse known-bad rows first."""
    texts = {"prompt": "p", "chosen": "a", "rejected": "b"}
    flags = {"chosen_ended": True, "rejected_ended": True}
    good = {"id": "1", **texts, **flags, "split": "test", "source": "given", **dict.fromkeys(SCORES)}
    settings = ValidatePreferences(
        max_characters=9,
        max_length_ratio=9.0,
        max_tokens=None,
        over_context="drop",
        near_duplicate_similarity=1.0,
        max_quarantined_share=1.0,
        min_pairs=1,
        reject=dict.fromkeys(get_args(Rule), 1.0),
        warn={},
    )
    canaries = [good, {**good, "id": "2", "chosen": " "}, good]
    found = find_reasons(canaries, settings, tokens=[0] * len(canaries), templated=False)
    if found != {1: {"blank_text"}, 2: {"duplicate_id", "duplicate_pair"}}:
        raise PipelineError(
            "pandera lets known-bad pairs pass, so nothing can be validated. "
            "Unset PANDERA_VALIDATION_ENABLED and PANDERA_VALIDATION_DEPTH."
        )
