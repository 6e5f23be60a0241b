"""The policies on each kind of prompt: a row for each category, a column for each policy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.evaluation.statistics import JUDGE_GAIN_RANGE, JUDGE_RANGE, Range
from pipeline.report.formats import number, signed
from pipeline.report.inputs import SFT, ReportInputs
from pipeline.report.page_policies import Cell, gain_tone
from pipeline.report.page_repair import outcome_words
from pipeline.report.pairs import HYBRID, gain
from pipeline.report.palette import policy_label
from pipeline.report.repair import verify_run
from pipeline.results.document import Interval
from pipeline.results.policies import CategoryMetrics


@dataclass(frozen=True)
class CategoryRow:
    """The judge scores of all policies on the prompts of one category."""

    category: str
    prompts: int
    cells: Sequence[Cell]


def category_rows(inputs: ReportInputs) -> list[CategoryRow]:
    """All prompts, then each category in the order of the SFT policy's, the largest first.

    Returns:
        No row where all prompts have the same category.
    """
    policies = {name: policy.metrics for name, policy in inputs.policies.items()}
    found = {name: {row.category: row for row in metrics.by_category} for name, metrics in policies.items()}
    repaired = _repaired(inputs)
    rows = [
        CategoryRow(
            row.category,
            row.prompts,
            [_cell(name, found[name].get(row.category), repaired.get((name, row.category), "")) for name in policies],
        )
        for row in inputs.sft.metrics.by_category
    ]
    everything = [_all_prompts(inputs, name) for name in policies]
    return [CategoryRow("All", inputs.sft.metrics.evaluation_prompts, everything), *rows] if rows else []


def _all_prompts(inputs: ReportInputs, name: str) -> Cell:
    """The same row for all prompts, with changes over all seeds, as in the verdict."""
    score = inputs.policies[name].metrics.judge_score
    return _scored(score, None if name == SFT else gain(inputs, name))


def _repaired(inputs: ReportInputs) -> dict[tuple[str, str], str]:
    """What became of each category that hybrid was trained on, by policy and category."""
    run = inputs.trained.get(HYBRID)
    start = policy_label(inputs.methods[0])
    rows = [] if run is None else [row for row in verify_run(inputs, run) if row.trained_on]
    return {(HYBRID, row.category): f"against {start}: {outcome_words(row)}" for row in rows}


def _cell(name: str, metrics: CategoryMetrics | None, repaired: str) -> Cell:
    """Judge score, and how it changed against SFT on the same prompts, of the run that is shown."""
    if metrics is None:
        return Cell("–", "not measured")
    cell = _scored(metrics.judge_score, None if name == SFT else metrics.judge_gain)
    return replace(cell, detail=f"{cell.detail}; {repaired}") if repaired else cell


def _scored(score: Interval, change: Interval | None) -> Cell:
    if change is None:
        return Cell(number(score.mean, 3), _ends(score, JUDGE_RANGE, number))
    words = f"{signed(change.mean, 3)} ({_ends(change, JUDGE_GAIN_RANGE, signed)})"
    return Cell(number(score.mean, 3), words, gain_tone(change))


def _ends(interval: Interval, within: Range, shown: Callable[[float, int], str]) -> str:
    """An interval as text; one that covers the whole possible range is called unknown."""
    if (interval.low, interval.high) == within:
        return "range not known: too few prompts"
    return f"{shown(interval.low, 3)} to {shown(interval.high, 3)}"
