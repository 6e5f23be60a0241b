"""Proxy and gold gain against KL: best-of-n and every run, measured, fitted, and where each peaks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.evaluation.overoptimization import Fit, fit_best_of_n, fit_rl
from pipeline.report.inputs import ReportInputs, TrainedPolicy
from pipeline.report.pairs import Score, paired
from pipeline.results.checkpoints import CheckpointPoint
from pipeline.results.comparison import MeasuredPeak, OveroptimizationCurve
from pipeline.results.document import Interval
from pipeline.results.policies import FrontierPoint

BEST_OF_N = "best_of_n"
SCORES: Mapping[str, Callable[[FrontierPoint], Interval]] = {
    "proxy": lambda point: point.reward_score,
    "gold": lambda point: point.judge_score,
}
"""Scores of a best-of-n point: proxy is the reward model and gold the judge, as in Gao et al. 2022."""
BY_PROMPT: Mapping[str, Callable[[CheckpointPoint], Sequence[float]]] = {
    "proxy": lambda point: point.reward_scores,
    "gold": lambda point: point.judge_scores,
}
"""The same scores of a checkpoint, one for each prompt; best-of-n has only means."""
_KINDS: Mapping[str, Score] = {"proxy": "reward_score", "gold": "judge_score"}


CurveEntries = dict[str, OveroptimizationCurve | dict[str, OveroptimizationCurve] | None]


@dataclass(frozen=True)
class CurvePoint:
    """One measured point; `at` is n, or the step of a checkpoint."""

    at: int
    kl: float
    """Nats per sequence, at least 0: an estimate near 0 can be negative."""
    gain: Interval
    """Score minus the SFT policy's on the same prompts; of a checkpoint prompt by prompt."""


@dataclass(frozen=True)
class Curve:
    """One score along best-of-n or along the checkpoints of a run, starting at the SFT policy."""

    points: Sequence[CurvePoint]
    fit: Fit | None

    @property
    def peak(self) -> CurvePoint:
        """The measured point with the highest gain, the earlier one at equal gains; the SFT policy where none rose."""
        return max(self.points, key=lambda point: point.gain.mean)


def best_of_n_curve(inputs: ReportInputs, quantity: str) -> Curve | None:
    """The curve of best-of-n over n; None without points.

    Args:
        quantity: of `SCORES`.
    """
    frontier = sorted(inputs.sft.frontier, key=lambda point: point.best_of_n)
    if not frontier:
        return None
    of = SCORES[quantity]
    start = of(frontier[0]).mean
    points = [
        CurvePoint(point.best_of_n, max(point.kl_nats_per_sequence, 0.0), _shifted(of(point), -start))
        for point in frontier
    ]
    return Curve(points, fit_best_of_n(*_columns(points)))


def run_curve(run: TrainedPolicy, quantity: str) -> Curve:
    """The curve over the checkpoints of a run, the SFT policy (step 0) first; methods have the form for RL."""
    start, of = run.checkpoints.points[0], BY_PROMPT[quantity]
    points = [
        CurvePoint(point.step, max(point.kl_nats_per_sequence, 0.0), paired(of(point), of(start), _KINDS[quantity]))
        for point in run.checkpoints.points
    ]
    return Curve(points, fit_rl(*_columns(points)))


def _shifted(interval: Interval, by: float) -> Interval:
    """The interval with `by` added to its mean and both ends."""
    return Interval(mean=interval.mean + by, low=interval.low + by, high=interval.high + by)


def _columns(points: Sequence[CurvePoint]) -> tuple[list[float], list[float]]:
    return [point.kl for point in points], [point.gain.mean for point in points]


def overoptimization_entries(inputs: ReportInputs) -> dict[str, CurveEntries]:
    """As it stands in comparison.json: `best_of_n`, and for each method its runs by `seed-N`."""
    best = {quantity: best_of_n_curve(inputs, quantity) for quantity in SCORES}
    entries: dict[str, CurveEntries] = {
        BEST_OF_N: {quantity: None if curve is None else _entry(curve, "best_of_n") for quantity, curve in best.items()}
    }
    for method, runs in inputs.runs.items():
        entries[method] = {
            f"seed-{run.seed}": {quantity: _entry(run_curve(run, quantity), "step") for quantity in SCORES}
            for run in runs
        }
    return entries


def _entry(curve: Curve, label: str) -> OveroptimizationCurve:
    at, kl, gain = curve.peak.at, curve.peak.kl, curve.peak.gain.mean
    return OveroptimizationCurve(
        fit=curve.fit,
        measured_peak=MeasuredPeak(step=at, kl=kl, gain=gain)
        if label == "step"
        else MeasuredPeak(best_of_n=at, kl=kl, gain=gain),
        largest_measured_kl=max(point.kl for point in curve.points),
    )
