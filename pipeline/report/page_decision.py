"""PPO against DPO, measured on this run: what each needs, what it gives, and which to take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.report.documents import StageCost
from pipeline.report.efficiency import JUDGE_SCORES, kl_spent, lines, score_at_kl
from pipeline.report.formats import duration, number
from pipeline.report.inputs import ReportInputs
from pipeline.report.page_costs import NEEDED_BY
from pipeline.report.palette import policy_label
from pipeline.report.verdict import paired_difference

_MODELS = {
    "dpo": "policy; the reference's log-probs are computed once, before",
    "ppo": "policy, reference, critic, reward model; with adapters the first three share one backbone",
}


@dataclass(frozen=True)
class DecisionRow:
    """One line of the table: a cell for each method."""

    label: str
    hint: str
    cells: Sequence[str]


@dataclass(frozen=True)
class Decision:
    rows: Sequence[DecisionRow]
    recommendation: str


def decide(inputs: ReportInputs) -> Decision:
    """The article's decision table with measured figures, and a recommendation that follows from them."""
    shared = min(inputs.policies[name].metrics.kl_nats_per_sequence for name in inputs.methods)
    found, spent = lines(inputs), kl_spent(inputs)
    rows = [
        DecisionRow("Models in memory", "while it trains", [_MODELS.get(name, "–") for name in inputs.methods]),
        _cost_row(inputs, "Training time", "of the stage", lambda cost: duration(cost.seconds)),
        DecisionRow("With its own inputs", "reward model, or reference log-probs", [*_whole_times(inputs)]),
        _cost_row(inputs, "Peak memory", "MiB", lambda cost: _optional(cost.peak_memory_mib)),
        _cost_row(inputs, "Tokens per second", "", lambda cost: _optional(cost.tokens_per_second)),
        DecisionRow(
            "Optimiser steps", "rollouts for PPO", [number(len(inputs.histories[name]), 0) for name in inputs.methods]
        ),
        DecisionRow(
            f"Judge score at {number(shared, 1)} nats",
            "along its checkpoints",
            [_optional(score_at_kl(found[name], shared), 3) for name in inputs.methods],
        ),
    ]
    for score in JUDGE_SCORES:
        values = spent[f"{score:.2f}"]
        cells = [_spent(values[name], values[f"{name}_ratio"]) for name in inputs.methods]
        rows.append(DecisionRow(f"KL for a judge score of {score:.2f}", "nats, and against best-of-n", cells))
    return Decision(rows, _recommend(inputs))


def _cost_row(inputs: ReportInputs, label: str, hint: str, shown: Callable[[StageCost], str]) -> DecisionRow:
    costs = [inputs.costs.get(f"optimize_policy@{name}") for name in inputs.methods]
    return DecisionRow(label, hint, ["–" if cost is None else shown(cost) for cost in costs])


def _whole_times(inputs: ReportInputs) -> list[str]:
    times = [_seconds(inputs, name) for name in inputs.methods]
    return ["–" if seconds is None else duration(seconds) for seconds in times]


def _seconds(inputs: ReportInputs, name: str) -> float | None:
    costs = [inputs.costs.get(stage) for stage in (*NEEDED_BY.get(name, ()), f"optimize_policy@{name}")]
    return None if None in costs else sum(cost.seconds for cost in costs if cost is not None)


def _optional(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else number(value, digits)


def _spent(kl: float | None, ratio: float | None) -> str:
    if kl is None:
        return "not reached"
    return number(kl, 2) + (f" ({number(ratio, 1)} times)" if ratio is not None else "")


def _recommend(inputs: ReportInputs) -> str:
    """The method with the clearly higher judge score; where there is none, the cheaper one."""
    ranked = sorted(inputs.methods, key=lambda name: -inputs.policies[name].metrics.judge_score.mean)
    best = ranked[0]
    gain = paired_difference(inputs.policies[best].samples, inputs.sft.samples)
    if gain.low <= 0:
        return "Neither: no method beats the SFT policy beyond chance. Look at the flags before training longer."
    if len(ranked) == 1:
        return f"{policy_label(best)}: it beats SFT, and nothing else was run."
    other = ranked[1]
    if paired_difference(inputs.policies[best].samples, inputs.policies[other].samples).low > 0:
        return f"{policy_label(best)}: its judge score is higher beyond chance, prompt by prompt."
    seconds = {name: _seconds(inputs, name) for name in (best, other)}
    tie = f"{policy_label(best)} and {policy_label(other)} do not differ beyond chance"
    first, second = seconds[best], seconds[other]
    if first is None or second is None:
        return f"{tie}, and their costs were not measured in this run."
    cheaper, dearer = (best, other) if first <= second else (other, best)
    took = (
        f"it took {duration(min(first, second))} with its inputs, {policy_label(dearer)} {duration(max(first, second))}"
    )
    return f"{policy_label(cheaper)}: {tie}, and {took}."
