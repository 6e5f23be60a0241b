"""The policies on each kind of prompt: a row for each category, a column for each policy."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.documents import CategoryMetrics, Interval, PolicyMetrics
from pipeline.report.formats import number, signed
from pipeline.report.inputs import SFT, ReportInputs
from pipeline.report.page_policies import BETTER, SAME, WORSE, Cell


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
    rows = [
        CategoryRow(row.category, row.prompts, [_cell(name, found[name].get(row.category)) for name in policies])
        for row in inputs.sft.metrics.by_category
    ]
    everything = [_cell(name, metrics) for name, metrics in policies.items()]
    return [CategoryRow("All", inputs.sft.metrics.evaluation_prompts, everything), *rows] if rows else []


def _cell(name: str, metrics: CategoryMetrics | PolicyMetrics | None) -> Cell:
    """Judge score, and how it changed against SFT on the same prompts."""
    if metrics is None:
        return Cell("–", "not measured")
    score, gain = metrics.judge_score, metrics.judge_gain
    if name == SFT:
        return Cell(number(score.mean, 3), f"{number(score.low, 3)} to {number(score.high, 3)}")
    change = f"{signed(gain.mean, 3)} ({signed(gain.low, 3)} to {signed(gain.high, 3)})"
    return Cell(number(score.mean, 3), change, gain_tone(gain))


def gain_tone(gain: Interval) -> str:
    """Better or worse only where the whole interval of a difference lies on one side of 0."""
    if gain.low > 0:
        return BETTER
    return WORSE if gain.high < 0 else SAME
