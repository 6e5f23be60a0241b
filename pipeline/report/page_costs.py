"""The cost table: what each stage took, what each method took beyond the common stages, and what is unknown."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.documents import StageCost
from pipeline.report.formats import duration, number
from pipeline.report.inputs import ReportInputs, TrainedPolicy

_BEFORE_METHODS = (
    "check", "fetch_models", "prepare_data", "fit_judge", "train_sft", "collect_preferences", "validate_preferences",
    "train_reward", "evaluate_reward", "score_reference",
)  # fmt: skip
# Stages that only one method needs, besides its own training.
_NEEDED_BY = {"dpo": ("score_reference",), "ppo": ("train_reward", "evaluate_reward")}


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
    expected = _expected_stages(inputs)
    others = sorted(set(inputs.costs) - {*expected, "write_report"})
    known = {name: inputs.costs[name] for name in [*expected, *others] if name in inputs.costs}
    total = sum(cost.seconds for cost in known.values())
    return CostTable(
        rows=[_row(name, cost, total) for name, cost in known.items()],
        methods=[_method_cost(inputs, run) for run in inputs.trained.values()],
        total=duration(total),
        missing=[name for name in expected if name not in inputs.costs],
    )


def _expected_stages(inputs: ReportInputs) -> list[str]:
    runs = [run for runs in inputs.runs.values() for run in runs]
    trained, selected, evaluated = (
        [run.stage(name) for run in runs] for name in ("optimize_policy", "select_checkpoint", "evaluate_policy")
    )
    regressions = [f"find_regressions@{seed}" for seed in inputs.seeds] if "hybrid" in inputs.methods else []
    return [*_BEFORE_METHODS, *regressions, *trained, *selected, "evaluate_sft", *evaluated]


def stages_of(inputs: ReportInputs, run: TrainedPolicy) -> list[str]:
    """Stages that this run needs beyond those common to all methods; hybrid needs those of what it starts from, too."""
    if run.name != "hybrid":
        return [*_NEEDED_BY.get(run.name, ()), run.stage("optimize_policy")]
    found = [*_NEEDED_BY["ppo"]]
    for start in inputs.runs[inputs.methods[0]]:
        if start.seed == run.seed and start.name != run.name:
            found += [*stages_of(inputs, start), start.stage("select_checkpoint")]
    return [*found, f"find_regressions@{run.seed}", run.stage("optimize_policy")]


def _row(name: str, cost: StageCost, total: float) -> CostRow:
    return CostRow(
        stage=name,
        seconds=duration(cost.seconds),
        peak_memory_mib=_optional(cost.peak_memory_mib),
        tokens_per_second=_optional(cost.tokens_per_second),
        device=cost.device or "–",
        share=round(100 * cost.seconds / total, 2) if total else 0.0,
    )


def _method_cost(inputs: ReportInputs, run: TrainedPolicy) -> MethodCost:
    stages = stages_of(inputs, run)
    costs = [inputs.costs[stage] for stage in stages if stage in inputs.costs]
    memory = [cost.peak_memory_mib for cost in costs if cost.peak_memory_mib is not None]
    complete = len(costs) == len(stages)
    return MethodCost(
        method=run.name,
        stages=stages,
        time=duration(sum(cost.seconds for cost in costs)) if complete else None,
        peak_memory_mib=_optional(max(memory) if memory and complete else None),
    )


def _optional(value: float | None) -> str:
    return "–" if value is None else number(value, 0)
