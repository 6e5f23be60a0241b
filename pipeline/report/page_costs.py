"""What each stage took, what each method took beyond the common stages, and what is unknown.

Costs differ from run to run, so they are in the run sheet beside the page, and not in the page, which is hashed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.report.cost_documents import StageCost
from pipeline.report.formats import duration, number
from pipeline.report.inputs import ReportInputs, TrainedPolicy
from pipeline.report.page_decision import DecisionRow
from pipeline.report.palette import policy_label

_BEFORE_METHODS = (
    "check", "fetch_models", "prepare_data", "fit_judge", "train_sft", "collect_preferences", "validate_preferences",
    "train_reward", "evaluate_reward", "score_reference",
)  # fmt: skip
StageCosts = Mapping[str, StageCost]
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
    order: float
    """The seconds as a number, which the table sorts by."""
    share: float
    """Share of the total time, in percent."""


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


def cost_table(inputs: ReportInputs, costs: StageCosts) -> CostTable:
    """Costs of the stages before the report in the order of the pipeline; of other stages after them, by name."""
    expected = _expected_stages(inputs)
    others = sorted(set(costs) - {*expected, "write_report", "publish_models"})
    known = {name: costs[name] for name in [*expected, *others] if name in costs}
    total = sum(cost.seconds for cost in known.values())
    return CostTable(
        rows=[_row(name, cost, total) for name, cost in known.items()],
        methods=[_method_cost(inputs, costs, run) for run in inputs.trained.values()],
        total=duration(total),
        missing=[name for name in expected if name not in costs],
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
        order=cost.seconds,
        share=round(100 * cost.seconds / total, 2) if total else 0.0,
    )


def _method_cost(inputs: ReportInputs, costs: StageCosts, run: TrainedPolicy) -> MethodCost:
    stages = stages_of(inputs, run)
    seconds = _seconds(inputs, costs, run)
    memory = [costs[stage].peak_memory_mib for stage in stages if stage in costs]
    known = [one for one in memory if one is not None]
    return MethodCost(
        method=run.name,
        stages=stages,
        time=None if seconds is None else duration(seconds),
        peak_memory_mib=_optional(max(known) if known and seconds is not None else None),
    )


def decision_costs(inputs: ReportInputs, costs: StageCosts) -> list[DecisionRow]:
    """Rows for the table of the methods: what training took, alone and with what only this method needs."""
    whole = [_seconds(inputs, costs, run) for run in inputs.trained.values()]
    return [
        _cost_row(inputs, costs, "Training time", "of the stage", lambda cost: duration(cost.seconds)),
        DecisionRow(
            "With its own inputs",
            "reward model, or reference log-probs",
            ["–" if seconds is None else duration(seconds) for seconds in whole],
        ),
        _cost_row(inputs, costs, "Peak memory", "MiB", lambda cost: _optional(cost.peak_memory_mib)),
        _cost_row(inputs, costs, "Tokens per second", "", lambda cost: _optional(cost.tokens_per_second)),
    ]


def cheapest_first(inputs: ReportInputs, costs: StageCosts) -> str | None:
    """What each method took with its own inputs, in a sentence; None where one of them was not measured here."""
    seconds = {name: _seconds(inputs, costs, run) for name, run in inputs.trained.items()}
    known = {name: value for name, value in seconds.items() if value is not None}
    if len(known) < len(seconds) or len(known) < 2:
        return None
    ranked = sorted(known, key=lambda name: known[name])
    took = ", ".join(f"{policy_label(name)} {duration(known[name])}" for name in ranked)
    return f"With its own inputs each took: {took}."


def _cost_row(
    inputs: ReportInputs, costs: StageCosts, label: str, hint: str, shown: Callable[[StageCost], str]
) -> DecisionRow:
    found = [costs.get(run.stage("optimize_policy")) for run in inputs.trained.values()]
    return DecisionRow(label, hint, ["–" if cost is None else shown(cost) for cost in found])


def _seconds(inputs: ReportInputs, costs: StageCosts, run: TrainedPolicy) -> float | None:
    found = [costs.get(stage) for stage in stages_of(inputs, run)]
    return None if None in found else sum(cost.seconds for cost in found if cost is not None)


def _optional(value: float | None) -> str:
    return "–" if value is None else number(value, 0)
