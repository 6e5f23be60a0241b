"""What differs between runs: parameters, and results with paired intervals where both were measured alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.compare.selection import PolicyRun
from pipeline.evaluation.statistics import JUDGE_GAIN_RANGE, Range, policy_difference
from pipeline.report.formats import number, signed

_METRICS = {
    "judge_score": 3, "win_rate_vs_sft": 3, "reward_score": 3, "kl_nats_per_sequence": 3, "perplexity_held_out": 2,
    "distinct_2": 3, "mean_response_tokens": 1, "cost/all_stages.seconds": 0,
}  # fmt: skip
"""The metrics that are shown, with their digits."""
_PAIRED = {"judge_score": "judge_score", "reward_score": "reward_score", "kl_nats_per_sequence": "kl_nats"}
"""Metrics that are means over prompts, each with the column of the samples that has the values."""
_OF_NO_PROMPT = {"perplexity_held_out", "cost/all_stages.seconds"}
"""Metrics that do not depend on the evaluation prompts."""
_RANGES: dict[str, Range] = {"judge_score": JUDGE_GAIN_RANGE}
"""The range of the differences of a column; differences of other columns have no limits."""


@dataclass(frozen=True)
class Row:
    """A row of the comparison: a cell for each run, and a note such as `beyond chance` for each run but the first."""

    name: str
    cells: list[str]
    notes: list[str]


@dataclass(frozen=True)
class Comparison:
    """Runs, side by side; the first is what the others are compared with."""

    runs: list[PolicyRun]
    params: list[Row]
    metrics: list[Row]
    remarks: list[str]


def compare(runs: Sequence[PolicyRun]) -> Comparison:
    """Compare each run with the first one."""
    first, *others = runs
    remarks = [remark for other in others for remark in _remarks(first, other)]
    params = param_rows([run.params for run in runs])
    return Comparison(list(runs), params, [_metric_row(runs, key) for key in _METRICS], remarks)


def param_rows(sides: Sequence[Mapping[str, str]]) -> list[Row]:
    """Parameters that are not the same on all sides."""
    keys = sorted({key for params in sides for key in params})
    rows = [Row(key, [params.get(key, "–") for params in sides], [""] * len(sides)) for key in keys]
    return [row for row in rows if len(set(row.cells)) > 1]


def _metric_row(runs: Sequence[PolicyRun], key: str) -> Row:
    digits, first = _METRICS[key], runs[0]
    cells = [number(run.metrics[key], digits) if key in run.metrics else "–" for run in runs]
    return Row(key, cells, ["", *(_difference(first, other, key, digits) for other in runs[1:])])


def _difference(first: PolicyRun, other: PolicyRun, key: str, digits: int) -> str:
    """The other run minus the first, if both were measured alike; with a 95 % interval where both have samples."""
    if key not in first.metrics or key not in other.metrics:
        return ""
    if different := _incomparable(first, other, key):
        return f"not comparable: {' and '.join(different)}"
    column = _PAIRED.get(key)
    if column is None or not first.samples or not other.samples:
        return signed(other.metrics[key] - first.metrics[key], digits)
    ids = sorted(first.samples)
    ours, theirs = ([run.samples[one][column] for one in ids] for run in (other, first))
    gain = policy_difference(ours, theirs, within=_RANGES.get(column))
    beyond = ", beyond chance" if gain.low > 0 or gain.high < 0 else ""
    ends = f"{signed(gain.low, digits)} to {signed(gain.high, digits)}"
    return f"{signed(gain.mean, digits)} ({ends}{beyond})"


def _incomparable(first: PolicyRun, other: PolicyRun, key: str) -> list[str]:
    """Why two values of a metric cannot be compared; empty where they can."""
    if key in _OF_NO_PROMPT:
        return other.measured_with.differences(first.measured_with, key)
    prompts = ["other prompts"] if _prompts_differ(first, other) else []
    return prompts + other.measured_with.differences(first.measured_with, key)


def _prompts_differ(first: PolicyRun, other: PolicyRun) -> bool:
    return bool(first.samples and other.samples) and first.samples.keys() != other.samples.keys()


def _remarks(first: PolicyRun, other: PolicyRun) -> list[str]:
    """What a reader of the differences of two runs has to know first."""
    pair = f"{other.name} and {first.name}"
    remarks = []
    if not first.samples or not other.samples:
        remarks.append(f"{pair}: no samples are kept of one of them, so that differences have no interval")
    elif _prompts_differ(first, other):
        common = len(first.samples.keys() & other.samples.keys())
        remarks.append(f"{pair} answered different prompts ({common} in common): their results are not comparable")
    by_reason: dict[str, list[str]] = {}
    for key in _METRICS:
        if key in first.metrics and key in other.metrics:
            for reason in other.measured_with.differences(first.measured_with, key):
                by_reason.setdefault(reason, []).append(key)
    for reason, keys in by_reason.items():
        remarks.append(f"{pair} were measured with {reason}: not comparable by {', '.join(keys)}")
    return remarks


def as_text(comparison: Comparison) -> str:
    """The comparison for the terminal: parameters that differ, then results, each difference under its value."""
    runs = comparison.runs
    lines = [f"{chr(ord('A') + number)}  {run.run_id[:8]}  {run.name}" for number, run in enumerate(runs)]
    letters = [chr(ord("A") + number) for number in range(len(runs))]
    width = max([len(row.name) for row in comparison.params + comparison.metrics])
    lines += ["", "parameters that differ" if comparison.params else "no parameter differs"]
    lines += [_line(row.name, row.cells, width) for row in comparison.params]
    lines += ["", _line("results", letters, width)]
    for row in comparison.metrics:
        lines.append(_line(row.name, row.cells, width))
        for letter, note in zip(letters, row.notes, strict=True):
            if note:
                lines.append(f"{'':{width}}    {letter} minus A: {note}")
    return "\n".join([*lines, *(f"note: {remark}" for remark in comparison.remarks)])


def _line(name: str, cells: Sequence[str], width: int) -> str:
    return f"{name:{width}}  " + "  ".join(f"{cell:>12}" for cell in cells)
