"""Stability over seeds: every run of a method, their mean and spread, and which of them collapsed."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.params.schema import WriteReport
from pipeline.report.inputs import PolicyReport, ReportInputs, TrainedPolicy
from pipeline.report.limits import loses_diversity, unlearns_language
from pipeline.report.pairs import paired_difference
from pipeline.results.comparison import ComparedSeed, ComparedSeeds

ROBUST_DEVIATIONS = 3.0
MIN_FALL = 0.05
# by this the median distance from the median estimates the standard deviation, if values are normal
_NORMAL = 1.4826

MEASURES: Mapping[str, Callable[[TrainedPolicy], float | None]] = {
    "judge_score": lambda run: run.metrics.judge_score.mean,
    "reward_score": lambda run: run.metrics.reward_score.mean,
    "kl_nats_per_sequence": lambda run: run.metrics.kl_nats_per_sequence,
    "win_rate_vs_sft": lambda run: run.metrics.win_rate_vs_sft.mean,
    "perplexity_held_out": lambda run: run.metrics.perplexity_held_out,
    "distinct_2": lambda run: run.metrics.distinct_2,
}


@dataclass(frozen=True)
class SeedRun:
    """One seed of a method, and why it counts as collapsed (empty where it does not)."""

    run: TrainedPolicy
    collapsed: Sequence[str]
    representative: bool

    @property
    def selected_minus_last(self) -> float | None:
        """Judge score of the selected checkpoint minus that of the last; None where they are the same."""
        last = self.run.metrics.last
        return None if last is None else self.run.metrics.judge_score.mean - last.judge_score.mean


@dataclass(frozen=True)
class SeedTable:
    """All seeds of a method; figures by the names of `MEASURES`, of those that are known."""

    method: str
    runs: Sequence[SeedRun]
    mean: Mapping[str, float]
    deviation: Mapping[str, float]
    """Sample standard deviation (n - 1)."""
    low: Mapping[str, float]
    high: Mapping[str, float]
    mean_without_collapsed: Mapping[str, float] | None
    """Means without the collapsed seeds; None where no seed collapsed, or all did."""


def seed_tables(inputs: ReportInputs, params: WriteReport) -> dict[str, SeedTable]:
    """The table of each method, by name; empty with one seed, which has no spread."""
    if len(inputs.seeds) < 2:
        return {}
    return {method: _table(inputs, method, params) for method in inputs.methods}


def _table(inputs: ReportInputs, method: str, params: WriteReport) -> SeedTable:
    runs = inputs.runs[method]
    outliers = far_below([run.metrics.judge_score.mean for run in runs], inputs.sft.metrics.judge_score.mean)
    rows = [
        SeedRun(run, _collapse(run, inputs.sft, params, outlier), run is inputs.trained[method])
        for run, outlier in zip(runs, outliers, strict=True)
    ]
    sound = [row.run for row in rows if not row.collapsed]
    values = _measured(runs)
    return SeedTable(
        method=method,
        runs=rows,
        mean={name: statistics.fmean(found) for name, found in values.items()},
        deviation={name: statistics.stdev(found) for name, found in values.items()},
        low={name: min(found) for name, found in values.items()},
        high={name: max(found) for name, found in values.items()},
        mean_without_collapsed=_means(sound) if 0 < len(sound) < len(runs) else None,
    )


def _means(runs: Sequence[TrainedPolicy]) -> dict[str, float]:
    return {name: statistics.fmean(values) for name, values in _measured(runs).items()}


def _measured(runs: Sequence[TrainedPolicy]) -> dict[str, list[float]]:
    """The values of each measure, by name, of the runs that have it; measures that no run has are left out."""
    values = {name: [value for run in runs if (value := of(run)) is not None] for name, of in MEASURES.items()}
    return {name: known for name, known in values.items() if known}


def far_below(scores: Sequence[float], sft: float) -> list[bool]:
    """For each score whether it lies more than 3 robust deviations, and at least 0.05, below the median of all.

    And whether it lost more than half of what the median gained over SFT (`sft`): the deviations of three healthy seeds
    are themselves so uncertain that one of eight such triples would be called collapsed by them alone.

    A robust deviation is 1.4826 times the median distance from the median: one collapsed seed among three moves
    neither, where it would inflate a standard deviation until it hides in it.
    """
    middle = statistics.median(scores)
    limit = ROBUST_DEVIATIONS * _NORMAL * statistics.median(abs(score - middle) for score in scores)
    return [
        middle - score > limit and middle - score >= MIN_FALL and score - sft < (middle - sft) / 2 for score in scores
    ]


def _collapse(run: TrainedPolicy, sft: PolicyReport, params: WriteReport, outlier: bool) -> list[str]:
    """Worse than SFT or its siblings, or worse text without a gain; a seed that gained did not collapse."""
    ours, before = run.metrics, sft.metrics
    change = paired_difference(run.samples, sft.samples)
    reasons = {
        "judge score below SFT's": change.fell,
        "distinct-2 below its limit": not change.rose and loses_diversity(ours, before, params),
        "perplexity above its limit": not change.rose and unlearns_language(ours, before, params),
        "judge score far below the other seeds'": outlier,
    }
    return [reason for reason, true in reasons.items() if true]


def seed_entries(tables: Mapping[str, SeedTable]) -> dict[str, ComparedSeeds]:
    """As it stands in comparison.json."""
    return {method: _entry(table) for method, table in tables.items()}


def _entry(table: SeedTable) -> ComparedSeeds:
    runs = [
        ComparedSeed(
            seed=row.run.seed,
            judge_score=row.run.metrics.judge_score.mean,
            reward_score=row.run.metrics.reward_score.mean,
            kl_nats_per_sequence=row.run.metrics.kl_nats_per_sequence,
            win_rate_vs_sft=row.run.metrics.win_rate_vs_sft.mean,
            perplexity_held_out=row.run.metrics.perplexity_held_out,
            distinct_2=row.run.metrics.distinct_2,
            selected_step=row.run.metrics.selected_step,
            last_step=row.run.metrics.last_step,
            selected_minus_last=row.selected_minus_last,
            collapsed=list(row.collapsed),
            representative=row.representative,
        )
        for row in table.runs
    ]
    return ComparedSeeds(
        runs=runs,
        mean=dict(table.mean),
        standard_deviation=dict(table.deviation),
        low=dict(table.low),
        high=dict(table.high),
        mean_without_collapsed=None if table.mean_without_collapsed is None else dict(table.mean_without_collapsed),
    )
