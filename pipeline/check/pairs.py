"""Checks pairs that are known before a policy has written anything against the contract."""

from collections import Counter
from collections.abc import Sequence

from pipeline.check.findings import Findings, Table
from pipeline.check.models import Readers
from pipeline.check.settings import Settings
from pipeline.check.shares import LABELS, counting_pairs, report_short_splits
from pipeline.check.sources import ReadData
from pipeline.data.splits import PAIR_SPLITS
from pipeline.preferences.given import given_pairs
from pipeline.preferences.pair import PreferencePair
from pipeline.preferences.prompts import prompts_in_splits
from pipeline.preferences.voted import labelled_pairs, read_ballots
from pipeline.validation.context_length import PairMeter
from pipeline.validation.contract import ValidatedPairs, validate_pairs
from pipeline.validation.place import place_of
from pipeline.validation.reasons import REASONS
from pipeline.validation.thresholds import threshold_problems

MOST_PAIRS = 5_000
"""The most pairs that the contract is tried on; of more, every second, third, ..."""


def check_pairs(
    data: ReadData, readers: Readers, settings: Settings, findings: Findings, *, counted: bool
) -> list[PreferencePair]:
    """Check the known pairs against the contract.

    Args:
        data: the rows that were read, with the pairs.
        readers: the tokenizers and configs of the models.
        settings: the parameters of the run.
        findings: gets what is wrong.
        counted: the number of pairs can be relied on; if not, too few pairs are no error of their own.

    Returns:
        The pairs that are fit for training but perhaps too long; none where the policy has to write them first.
    """
    with findings.collecting():
        pairs = _known_pairs(data, settings, findings)
        if not pairs:
            return []
        step = -(-len(pairs) // MOST_PAIRS)
        tried = pairs[::step]
        if step > 1:
            findings.warning(f"the contract was tried on {len(tried):,} of {len(pairs):,} pairs; shares are estimates.")
        validated = _validate(tried, data, readers, settings)
        findings.tables.append(_table(validated, settings))
        uncounted = step > 1 or data.whole > 1 or not counted
        _check_thresholds(validated, data, settings, findings, counted=not uncounted)
        too_long = [PreferencePair.of(row) for row in validated.quarantined if row["reasons"] == ["over_context"]]
        return [*validated.accepted, *too_long]
    return []


def _check_thresholds(
    validated: ValidatedPairs, data: ReadData, settings: Settings, findings: Findings, *, counted: bool
) -> None:
    for problem in threshold_problems(validated, settings.contract):
        if "too few accepted pairs" not in problem.message:
            findings.errors.append(problem)
        elif counted and str(problem.key).startswith("data.splits."):
            count = counting_pairs(settings, {pair["id"] for pair in validated.quarantined})
            report_short_splits(data, settings, findings, what="accepted pairs", count=count)
        elif counted:
            findings.errors.append(problem)


def _known_pairs(data: ReadData, settings: Settings, findings: Findings) -> Sequence[PreferencePair]:
    if settings.collect.source == "given":
        return given_pairs(data.prepared.paired)
    if settings.collect.source == "sampled":
        return []
    prompts = prompts_in_splits({split: data.prepared.prompts[split] for split in PAIR_SPLITS})
    found = labelled_pairs(read_ballots(LABELS), prompts)
    if not found.pairs:
        findings.error(
            f"no vote of data/labels gives a pair ({dict(found.votes)}): they are on prompts of other data, or undone.",
            "collect_preferences.source",
            "sampled",
        )
    return found.pairs


def _validate(pairs: Sequence[PreferencePair], data: ReadData, readers: Readers, settings: Settings) -> ValidatedPairs:
    # over_context: error is a problem like the others here, which are all shown
    contract = settings.contract
    if contract.over_context == "error":
        contract = contract.model_copy(update={"over_context": "drop", "max_quarantined_share": 0.0})
    meter = PairMeter(readers.folder / "tokenizer.json", contract)
    templated = data.style.template_hash is not None and data.style.written
    return validate_pairs([pair.as_record() for pair in pairs], contract, meter=meter, templated=templated)


def _table(validated: ValidatedPairs, settings: Settings) -> Table:
    splits = Counter(pair.split for pair in validated.accepted)
    kept = ", ".join(f"{split} {splits[split]:,}" for split in PAIR_SPLITS)
    rows = [["accepted", f"{len(validated.accepted):,}", kept, ""]]
    for code, count in validated.counts.items():
        if count:
            severity = "quarantined" if code in settings.contract.reject else "warned of"
            rows.append([f"{severity}: {code}", f"{count:,}", place_of(validated.examples(code, 1)[0]), REASONS[code]])
    return Table("The pairs by the contract", ("rule", "pairs", "first", "what it says"), rows)
