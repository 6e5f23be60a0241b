"""The data part of the page: where pairs came from, which rules they broke, what predicts the label without meaning."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.formats import number, percent
from pipeline.report.inputs import ReportInputs
from pipeline.results.preferences import DefectExample, VoteSummary
from pipeline.results.sources import SourceRows
from pipeline.validation.reasons import REASONS


@dataclass(frozen=True)
class SourceRow:
    """One file or data set, as text."""

    file: str
    format: str
    rows: str
    used: str
    unused: str
    dropped: str
    """Dropped rows, with the reasons."""
    not_read: str
    """Columns, and fields in them, that nothing read."""


@dataclass(frozen=True)
class RuleRow:
    """One rule of the contract that was broken, or of data preparation."""

    rule: str
    meaning: str
    severity: str
    count: str
    share: str
    examples: Sequence[DefectExample]


@dataclass(frozen=True)
class DataSection:
    sources: Sequence[SourceRow]
    rules: Sequence[RuleRow]
    unbroken: Sequence[str]
    votes: VoteSummary | None


def data_section(inputs: ReportInputs) -> DataSection:
    """Tables for people; rules that nothing broke are named, not listed."""
    summary, details = inputs.preferences, inputs.preference_details
    severities = {
        **dict.fromkeys(summary.quarantined_by_reason, "reject"),
        **dict.fromkeys(summary.warned_by_reason, "warn"),
    }
    counts = {**summary.quarantined_by_reason, **summary.warned_by_reason}
    return DataSection(
        sources=[_source_row(one) for one in inputs.sources.sources],
        rules=[
            RuleRow(
                rule=code,
                meaning=REASONS.get(code, ""),
                severity=severities[code],
                count=number(count, 0),
                share=percent(count / summary.raw) if summary.raw else "–",
                examples=details.examples.get(code, []),
            )
            for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            if count
        ],
        unbroken=[code for code, count in counts.items() if not count],
        votes=inputs.sources.votes or details.votes,
    )


def _source_row(source: SourceRows) -> SourceRow:
    fates = source.fates
    total = {kind: sum(count for fate, count in fates.items() if fate.startswith(f"{kind}.")) for kind in _KINDS}
    reasons = [f"{fate.partition('.')[2]} {count}" for fate, count in fates.items() if fate.startswith("dropped.")]
    dropped = number(total["dropped"], 0) + (f" ({', '.join(reasons)})" if reasons else "")
    return SourceRow(
        file=source.file,
        format=source.format,
        rows=number(source.rows, 0),
        used=number(total["used"], 0),
        unused=number(total["unused"], 0),
        dropped=dropped,
        not_read=", ".join(source.unused) or "–",
    )


_KINDS = ("used", "unused", "dropped")
