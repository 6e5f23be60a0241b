"""Splits that get too few prompts or pairs: how many a hash gives them, and the share or limit that gives enough."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.check.findings import Findings
from pipeline.check.settings import Settings
from pipeline.check.sources import ReadData
from pipeline.data.intake import other_shares
from pipeline.data.splits import PAIR_SPLITS
from pipeline.data.uses import Uses
from pipeline.errors import PipelineError
from pipeline.preferences.prompts import prompts_in_splits
from pipeline.preferences.voted import labelled_pairs, read_ballots

LABELS = Path("data/labels")
_MOST_RECORDS = 5_000
"""The most records for which other shares are tried; with more, no split is short by the chance of a hash."""
_STEP = 0.01

Count = Callable[[Uses], Mapping[str, int]]


def count_prompts(uses: Uses) -> Counter[str]:
    """How many prompts each split has; in a sampled run each gives one pair at most."""
    return Counter({split: len(rows) for split, rows in uses.prompts().items()})


def counting_pairs(settings: Settings, refused: set[str]) -> Count:
    """A function that counts the given or voted pairs of each split, without those that the contract refused.

    Other shares bring in pairs that were not checked against the contract, and these are counted.
    """
    if settings.collect.source == "given":
        return lambda uses: Counter(split for split, record in uses.paired() if record["id"] not in refused)
    ballots = read_ballots(LABELS)

    def voted(uses: Uses) -> Counter[str]:
        prompts = uses.prompts()
        known = prompts_in_splits({split: prompts[split] for split in PAIR_SPLITS})
        return Counter(pair.split for pair in labelled_pairs(ballots, known).pairs if pair.id not in refused)

    return voted


def report_short_splits(data: ReadData, settings: Settings, findings: Findings, *, what: str, count: Count) -> None:
    """Add an error for each split with fewer than `validate_preferences.min_pairs`, with what to change.

    Args:
        data: all rows of the sources.
        settings: the parameters of the run.
        findings: gets the errors.
        what: what is counted, in words.
        count: counts it in each split.
    """
    need, now = settings.contract.min_pairs, count(data.prepared.uses)
    short = [split for split in PAIR_SPLITS if now[split] < need]
    limited = [split for split in short if data.prepared.counts[f"unused.{split}"]]
    larger = None if limited or not short else _larger_shares(data, settings, count)
    for split in short:
        said = f"{split} gets {now[split]} {what}, fewer than validate_preferences.min_pairs ({need})"
        drawn = f"{said}: a hash of each prompt draws its split, by a share of {_share(data, split):.3g}"
        if beyond := data.prepared.counts[f"unused.{split}"]:
            findings.error(f"{said}, and {beyond} more are beyond its limit; 0 is none.", f"data.limits.{split}", 0)
        elif larger is None:
            least = min(now[name] for name in short)
            findings.error(
                f"{drawn}. No other shares were found that give each split as many. Bring more rows, or lower the "
                f"minimum to {least}.",
                "validate_preferences.min_pairs",
                least or None,
            )
        else:
            shares, then = larger
            changes = ", ".join(f"data.splits.{name}: {share:g}" for name, share in shares.items())
            counts = ", ".join(f"{name} {then[name]}" for name in PAIR_SPLITS)
            value = f"{shares[split]:g}" if split in shares else None
            findings.error(f"{drawn}. With {changes} it would be {counts}.", f"data.splits.{split}", value)


def _share(data: ReadData, split: str) -> float:
    return float(getattr(data.intake.resolved[0].splits, split))


def _larger_shares(
    data: ReadData, settings: Settings, count: Count
) -> tuple[dict[str, float], Mapping[str, int]] | None:
    """Shares that give each split enough, and what each split then gets; None where none were found.

    The share of a split that is short is raised step by step. Open shares divide the rest; where none is open, the
    largest share gives what the others get.
    """
    if len(data.prepared.fates) > _MOST_RECORDS:
        return None
    named, wanted = settings.data.splits.model_dump(), dict[str, float]()
    giver = max(named, key=lambda split: named[split] or 0.0) if None not in named.values() else None
    now = data.intake.resolved[0]
    for _ in range(round(len(PAIR_SPLITS) / _STEP)):
        then = count(data.prepared.divide(now))
        short = [split for split in PAIR_SPLITS if then[split] < settings.contract.min_pairs]
        if not short:
            return wanted, then
        wanted |= {split: round(getattr(now.splits, split) + _STEP, 2) for split in short}
        if giver is not None:
            others = sum(share for split, share in {**named, **wanted}.items() if split != giver)
            wanted[giver] = round(1.0 - others, 6)
        try:
            now = other_shares(data.intake, {**named, **wanted}, settings.data.limits.model_dump())
        except (PipelineError, ValueError):
            return None
    return None
