"""Whether enough pairs are left, and if not, which parameter is the cause."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from pipeline.data.splits import PAIR_SPLITS
from pipeline.errors import PipelineError, Problem
from pipeline.params.schema import ValidatePreferences
from pipeline.validation.contract import ValidatedPairs
from pipeline.validation.place import place_of
from pipeline.validation.reasons import REASONS

KEPT = 0.95
"""Share of the pairs that an advised limit keeps."""
_SECTION = "validate_preferences"
_STEP = 64


def check_thresholds(validated: ValidatedPairs, settings: ValidatePreferences) -> None:
    """Stop when too much was quarantined or too little is left.

    Raises:
        PipelineError: naming the counts, the reasons with an example row, and the keys of params.yaml to change.
    """
    if problems := list(threshold_problems(validated, settings)):
        reasons = f"Rules that were broken: {_describe_reasons(validated)}."
        raise PipelineError("\n".join([*map(str, problems), reasons]))


def threshold_problems(validated: ValidatedPairs, settings: ValidatePreferences) -> Iterator[Problem]:
    """The problems at which `check_thresholds` stops."""
    shares = list(_share_problems(validated, settings))
    yield from shares
    yield from _rule_problems(validated, settings)
    yield from _split_problems(validated, settings, limited=any(problem.value is not None for problem in shares))


def limit_that_keeps(values: Iterable[float], share: float = KEPT) -> int:
    """The smallest multiple of 64 that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return -(-math.ceil(ordered[math.ceil(share * len(ordered)) - 1]) // _STEP) * _STEP


def _share_problems(validated: ValidatedPairs, settings: ValidatePreferences) -> Iterator[Problem]:
    refused, raw = len(validated.refused), len(validated.rows)
    share = refused / raw if raw else 0.0
    if share <= settings.max_quarantined_share:
        return
    seen = f"{refused} of {raw} pairs ({share:.1%}) are quarantined"
    limits = list(_limit_problems(validated, settings, seen))
    yield from limits
    if not limits:
        yield Problem(
            f"{seen}. Mend the data, or raise {_SECTION}.max_quarantined_share (now "
            f"{settings.max_quarantined_share:g}).",
            f"{_SECTION}.max_quarantined_share",
        )


def _limit_problems(validated: ValidatedPairs, settings: ValidatePreferences, seen: str) -> Iterator[Problem]:
    """The limits that alone quarantined more pairs than all rules together may: they are the cause, not the pairs."""
    raw = len(validated.rows)
    for rule, (key, unit, measured) in _measures(validated).items():
        count, now = validated.counts[rule], getattr(settings, key)
        if count > settings.max_quarantined_share * raw and len(measured):
            longest = f"The longest has {max(measured):,.0f} {unit}; {limit_that_keeps(measured):,} keeps {KEPT:.0%}."
            said = f"{seen}, {count} by {rule}: they have more than {now:,g} {unit} ({_SECTION}.{key}). {longest}"
            yield Problem(said, f"{_SECTION}.{key}", limit_that_keeps(measured))


def _measures(validated: ValidatedPairs) -> dict[str, tuple[str, str, np.ndarray]]:
    """The rules that compare a length with a parameter, each with its key, its unit, and the known lengths."""
    tokens, characters = validated.facts["tokens"], validated.facts["characters"]
    return {
        "over_context": ("max_tokens", "tokens", tokens[tokens > 0]),
        "too_long": ("max_characters", "characters", characters[characters >= 0]),
    }


def _rule_problems(validated: ValidatedPairs, settings: ValidatePreferences) -> Iterator[Problem]:
    raw = len(validated.rows)
    for severity in ("reject", "warn"):
        for code, limit in getattr(settings, severity).items():
            if validated.counts[code] > limit * raw:
                key = f"{_SECTION}.{severity}.{code}"
                yield Problem(
                    f"{validated.counts[code]} of {raw} pairs break the rule {code} ({REASONS[code]}), a larger share "
                    f"than {key} allows (now {limit:g}).",
                    key,
                )


def _split_problems(validated: ValidatedPairs, settings: ValidatePreferences, *, limited: bool) -> Iterator[Problem]:
    """Splits with too few pairs; not those that have too few because of a limit that is told already (`limited`)."""
    kept, lost = (
        {split: int(np.count_nonzero(validated.facts["split"][rows] == at)) for at, split in enumerate(PAIR_SPLITS)}
        for rows in (validated.kept, validated.refused)
    )
    short = [split for split in PAIR_SPLITS if kept[split] < settings.min_pairs]
    if not short:
        return
    counts = ", ".join(f"{split} {kept[split]} (of {kept[split] + lost[split]})" for split in short)
    enough = all(kept[split] + lost[split] >= settings.min_pairs for split in short)
    if enough and limited:
        return
    advice = (
        "Without the quarantined ones there are too few: mend the rows that break the rules"
        if enough
        else f"Give {'them' if len(short) > 1 else 'it'} a larger share "
        f"({', '.join(f'data.splits.{split}' for split in short)}), or more rows to the source, raise "
        f"{', '.join(f'data.limits.{split}' for split in short)} where a limit is the reason"
    )
    yield Problem(
        f"too few accepted pairs: {counts}. {advice}, or lower {_SECTION}.min_pairs (now {settings.min_pairs}).",
        f"{_SECTION}.min_pairs" if enough else f"data.splits.{short[0]}",
    )


def _describe_reasons(validated: ValidatedPairs) -> str:
    """How many pairs break each rule, with the first one."""
    counts = [
        f"{code} {count} (first: {place_of(validated.examples(code, 1)[0])})"
        for code, count in validated.counts.items()
        if count
    ]
    return ", ".join(counts) or "none"
