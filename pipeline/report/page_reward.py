"""Where the reward model is right: the groups of test pairs as rows of one table."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.formats import number
from pipeline.results.document import Interval
from pipeline.results.reward import RewardMetrics


@dataclass(frozen=True)
class GroupRow:
    """Test pairs that have something in common."""

    label: str
    pairs: int
    accuracy: Interval


def group_rows(metrics: RewardMetrics) -> Sequence[GroupRow]:
    """Groups by field, then by the margin of the judge, then by the model's own."""
    rows = [GroupRow(f"{group.field}: {group.value}", group.pairs, group.accuracy) for group in metrics.groups]
    for name, bins in (("judge's", metrics.judge_margin_bins), ("own", metrics.model_margin_bins)):
        rows += [
            GroupRow(f"{name} margin {number(one.low, 2)} to {number(one.high, 2)}", one.pairs, one.accuracy)
            for one in bins
        ]
    return rows
