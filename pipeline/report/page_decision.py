"""PPO against DPO, measured on this run: what each needs, what it gives, and which to take."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.efficiency import SHARES, Ratio, Spending, kl_at_own_gain, kl_spent, lines, score_at_kl
from pipeline.report.formats import number, signed
from pipeline.report.inputs import ReportInputs
from pipeline.report.judges import confirmed, no_verdict
from pipeline.report.pairs import difference, gains, over_words
from pipeline.report.palette import policy_label

_MODELS = {
    "dpo": "policy; the reference's log-probs are computed once, before",
    "ppo": "policy, reference, critic, reward model; with adapters the first three share one backbone",
    "hybrid": "policy, reference, critic, reward model; the reference is a model of its own",
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
    """The decision table with measured figures, and a recommendation that follows from them.

    What each method took belongs to the machine, not to the result: `page_costs.decision_costs` has those rows.
    """
    found, spent = lines(inputs), kl_spent(inputs)
    shared = min(max(kl for kl, _ in found[name]) for name in inputs.methods)
    rows = [
        DecisionRow("Models in memory", "while it trains", [_MODELS.get(name, "–") for name in inputs.methods]),
        DecisionRow(
            "Optimiser steps", "rollouts for PPO", [number(_steps(inputs, name), 0) for name in inputs.methods]
        ),
        DecisionRow(
            "Samples seen", "in training, repeats counted", [_samples_seen(inputs, name) for name in inputs.methods]
        ),
        DecisionRow(
            "Stability over seeds",
            "standard deviation and range of the judge score",
            [_stability(inputs, name) for name in inputs.methods],
        ),
        DecisionRow(
            f"Judge score at {number(shared, 1)} nats",
            f"along its checkpoints{', mean of the seeds' if len(inputs.seeds) > 1 else ''}",
            [_optional(score_at_kl(found[name], shared), 3) for name in inputs.methods],
        ),
    ]
    rows += [_spending_row(inputs, target, one) for target, one in spent.items()]
    if spent:
        rows.append(_own_row(inputs))
    else:
        nothing = "no score that best-of-n and a method reach beyond chance"
        rows.append(DecisionRow("KL for a judge score", "against best-of-n", [nothing] * len(inputs.methods)))
    return Decision(rows, _recommend(inputs))


def _steps(inputs: ReportInputs, name: str) -> int:
    """Rows of the history that are training steps: the first row of hybrid only says where it starts."""
    return sum("loss" in row or "score" in row for row in inputs.histories[name])


def _samples_seen(inputs: ReportInputs, name: str) -> str:
    """Steps times the examples of a full step; the last batch of an epoch may have fewer, so it is an upper bound."""
    count = number(_steps(inputs, name) * inputs.samples_per_step[name], 0)
    if name == "dpo":
        return f"up to {count} pairs"
    return f"{count} episodes" + (f", after {policy_label(inputs.methods[0])}" if name == "hybrid" else "")


def _stability(inputs: ReportInputs, name: str) -> str:
    scores = [run.metrics.judge_score.mean for run in inputs.runs[name]]
    if len(scores) < 2:
        return "not measured: one seed"
    spread = f"{number(statistics.stdev(scores), 3)}, {number(min(scores), 3)} to {number(max(scores), 3)}"
    return f"{spread} over {len(scores)} seeds"


def _optional(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else number(value, digits)


def _spending_row(inputs: ReportInputs, target: str, spent: Spending) -> DecisionRow:
    reached = "all that gain reach" if SHARES[target] == 1 else "half of that gain"
    hint = f"{signed(spent.gain, 3)}, {reached}; best-of-n: {number(spent.best_of_n, 2)} nats"
    cells = [
        _spent(*spent.methods[name]) if name in spent.methods else _unspent(name, spent) for name in inputs.methods
    ]
    return DecisionRow(f"KL for a judge score of {number(spent.judge_score, 3)}", hint, cells)


def _own_row(inputs: ReportInputs) -> DecisionRow:
    """Each method at the largest gain that it and best-of-n reach."""
    own = kl_at_own_gain(inputs)
    cells = [
        f"{signed(own[name].gain, 3)} for {_spent(*own[name].methods[name])}"
        if name in own and name in own[name].methods
        else _unspent(name, own.get(name))
        for name in inputs.methods
    ]
    return DecisionRow("KL for its own largest gain", "as far as best-of-n gains as much", cells)


def _unspent(name: str, spent: Spending | None) -> str:
    """Why a method has no KL for a target."""
    return "no checkpoint before it" if spent is not None and name in spent.gained else "no gain beyond chance"


def _spent(kl: float, ratio: Ratio) -> str:
    """Nats, and times best-of-n's, with the 95 % interval of the ratio."""
    ends = (
        f"{number(ratio.low, 1)} or more"
        if ratio.high is None
        else f"{number(ratio.low, 1)} to {number(ratio.high, 1)}"
    )
    return f"{number(kl, 2)} ({number(ratio.value, 1)} times; {ends})"


def _recommend(inputs: ReportInputs) -> str:
    """The method with the clearly higher judge score; where there is none, the cheaper one."""
    if (problem := no_verdict(inputs)) is not None:
        return f"None can be recommended. {problem}"
    return f"{_best(inputs)}{_unconfirmed(inputs)}"


def _unconfirmed(inputs: ReportInputs) -> str:
    names = [
        policy_label(name) for name, change in gains(inputs).items() if change.rose and confirmed(inputs, name) is False
    ]
    return f" The second judge does not confirm the gain of {' and '.join(names)}: read samples first." if names else ""


def _best(inputs: ReportInputs) -> str:
    found = gains(inputs)
    better = [name for name, change in found.items() if change.rose]
    if not better:
        return "Neither: no method beats the SFT policy beyond chance. Look at the flags before training longer."
    best, others = better[0], [name for name in found if name != better[0]]
    label = policy_label(best)
    if not others:
        return f"{label}: it beats SFT, and nothing else was run."
    tied = [name for name in others if not difference(inputs, best, name).rose]
    if not tied:
        return f"{label}: its judge score is higher beyond chance, prompt by prompt {over_words(inputs)}."
    equals = [policy_label(name) for name in tied if name in better]
    if not equals:
        return f"{label}: nothing else beats SFT beyond chance, though {label} is not clearly better than all others."
    return f"{' or '.join([label, *equals])}, whichever costs you less: they do not differ beyond chance."
