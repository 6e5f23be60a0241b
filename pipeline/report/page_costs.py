"""The cost table: what each stage took, what each method took beyond the common stages, and what is unknown."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.documents import StageCost
from pipeline.report.formats import duration, number
from pipeline.report.inputs import ReportInputs

_BEFORE_METHODS = (
    "fetch_models", "prepare_data", "fit_judge", "train_sft", "collect_preferences", "validate_preferences",
    "train_reward", "evaluate_reward", "score_reference",
)  # fmt: skip
# Stages that only one method needs; for other methods just their own training counts.
NEEDED_BY = {"dpo": ("score_reference",), "ppo": ("train_reward", "evaluate_reward")}


@dataclass(frozen=True)
class CostRow:
    """One stage, as text; a dash stands for what was not measured."""

    stage: str
    seconds: str
    peak_memory_mib: str
    tokens_per_second: str
    device: str
    share: float
    """Of the total time, in percent."""


@dataclass(frozen=True)
class MethodCost:
    """All stages that a method needs beyond the common ones; `time` is None when one of them is unknown."""

    method: str
    stages: Sequence[str]
    time: str | None
    peak_memory_mib: str


@dataclass(frozen=True)
class CostTable:
    rows: Sequence[CostRow]
    methods: Sequence[MethodCost]
    total: str
    missing: Sequence[str]


def cost_table(inputs: ReportInputs) -> CostTable:
    """Costs of the stages before the report in the order of the pipeline; of other stages after them, by name."""
    expected = _expected_stages(inputs.methods)
    others = sorted(set(inputs.costs) - {*expected, "write_report"})
    known = {name: inputs.costs[name] for name in [*expected, *others] if name in inputs.costs}
    total = sum(cost.seconds for cost in known.values())
    return CostTable(
        rows=[_row(name, cost, total) for name, cost in known.items()],
        methods=[_method_cost(inputs, method) for method in inputs.methods],
        total=duration(total),
        missing=[name for name in expected if name not in inputs.costs],
    )


def _expected_stages(methods: Sequence[str]) -> list[str]:
    optimized = [f"optimize_policy@{method}" for method in methods]
    evaluated = [f"evaluate_policy@{method}" for method in methods]
    return [*_BEFORE_METHODS, *optimized, "evaluate_sft", *evaluated]


def _row(name: str, cost: StageCost, total: float) -> CostRow:
    return CostRow(
        stage=name,
        seconds=duration(cost.seconds),
        peak_memory_mib=_optional(cost.peak_memory_mib),
        tokens_per_second=_optional(cost.tokens_per_second),
        device=cost.device or "–",
        share=round(100 * cost.seconds / total, 2) if total else 0.0,
    )


def _method_cost(inputs: ReportInputs, method: str) -> MethodCost:
    stages = [*NEEDED_BY.get(method, ()), f"optimize_policy@{method}"]
    costs = [inputs.costs[stage] for stage in stages if stage in inputs.costs]
    memory = [cost.peak_memory_mib for cost in costs if cost.peak_memory_mib is not None]
    complete = len(costs) == len(stages)
    return MethodCost(
        method=method,
        stages=stages,
        time=duration(sum(cost.seconds for cost in costs)) if complete else None,
        peak_memory_mib=_optional(max(memory) if memory and complete else None),
    )


def _optional(value: float | None) -> str:
    return "–" if value is None else number(value, 0)
