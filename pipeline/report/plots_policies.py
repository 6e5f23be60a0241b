"""Scores against KL: what each policy gained, and how far it moved from the SFT policy for it."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.documents import FrontierPoint, Interval, PolicyMetrics
from pipeline.report.inputs import PolicyReport, ReportInputs
from pipeline.report.palette import SFT_COLOUR, Look, policy_looks
from pipeline.report.plot_style import MUTED, legend_above, new_figure

ScoreOf = Callable[[PolicyMetrics | FrontierPoint], Interval]
_TICKS = (0, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 1000, 2000, 5000)


def draw_reward_vs_kl(inputs: ReportInputs) -> Figure:
    """Reward-model score, which the policies were trained on, against KL."""
    return _draw_frontier(inputs, lambda point: point.reward_score, "reward-model score")


def draw_judge_vs_kl(inputs: ReportInputs) -> Figure:
    """Judge score, which policies were not trained on directly, against KL."""
    return _draw_frontier(inputs, lambda point: point.judge_score, "judge score")


def _draw_frontier(inputs: ReportInputs, score_of: ScoreOf, score_label: str) -> Figure:
    figure = new_figure(4.2)
    axes = figure.add_subplot()
    looks = policy_looks(inputs.policies)
    _draw_best_of_n(axes, inputs.sft, score_of)
    for method in inputs.methods:
        _draw_trajectory(axes, inputs.sft, inputs.policies[method], looks[method], score_of)
    for name, policy in inputs.policies.items():
        _draw_final(axes, policy.metrics, looks[name], score_of)
    _sqrt_kl_axis(axes, _largest_kl(inputs))
    axes.set_ylabel(score_label)
    legend_above(axes, columns=4)
    return figure


def _draw_best_of_n(axes: Axes, sft: PolicyReport, score_of: ScoreOf) -> None:
    """The line that any training has to beat at equal KL, from best-of-1, which is the SFT policy."""
    points = sorted(sft.frontier, key=lambda point: point.kl_nats_per_sequence)
    if not points:
        return
    kl, scores = _coordinates(points, score_of)
    axes.plot(kl, scores, color=SFT_COLOUR, linewidth=1.6, linestyle=(0, (4, 2)), label="SFT, best of n")
    for point, x, y in zip(points, kl, scores, strict=True):
        if point.best_of_n and point.best_of_n > 1:
            axes.plot([x], [y], "o", color="white", markeredgecolor=SFT_COLOUR, markersize=4.5, zorder=4)
            axes.annotate(
                f"n={point.best_of_n}", (x, y), (5, -4), textcoords="offset points", va="top", fontsize=8.5, color=MUTED
            )


def _draw_trajectory(axes: Axes, sft: PolicyReport, policy: PolicyReport, look: Look, score_of: ScoreOf) -> None:
    """From the SFT policy over the checkpoints on the way, in order of their steps, to the final policy."""
    checkpoints = sorted(policy.frontier, key=lambda point: point.step or 0)
    kl, scores = _coordinates([sft.metrics, *checkpoints, policy.metrics], score_of)
    axes.plot(kl, scores, color=look.colour, linewidth=1.4, alpha=0.6, zorder=3)
    axes.plot(kl[1:-1], scores[1:-1], look.marker, color=look.colour, markersize=4, alpha=0.75, zorder=4)


def _draw_final(axes: Axes, metrics: PolicyMetrics, look: Look, score_of: ScoreOf) -> None:
    kl, score = metrics.kl_interval, score_of(metrics)
    x, y = max(metrics.kl_nats_per_sequence, 0.0), score.mean
    kl_whiskers = _whiskers(Interval(mean=x, low=max(kl.low, 0.0), high=max(kl.high, 0.0)))
    axes.errorbar(
        x,
        y,
        xerr=kl_whiskers,
        yerr=_whiskers(score),
        fmt="none",
        color=look.colour,
        elinewidth=1.5,
        capsize=3,
        zorder=5,
        clip_on=False,
    )
    # drawn apart, so that the legend shows the marker without the bars
    axes.plot(
        [x], [y], look.marker, color=look.colour, markersize=9, markeredgecolor="white", label=look.label, zorder=6,
        linestyle="none", clip_on=False,
    )  # fmt: skip


def _whiskers(interval: Interval) -> list[list[float]]:
    return [[max(interval.mean - interval.low, 0.0)], [max(interval.high - interval.mean, 0.0)]]


def _coordinates(points: Sequence[PolicyMetrics | FrontierPoint], score_of: ScoreOf) -> tuple[list[float], list[float]]:
    # an estimate of a KL near 0 can be negative, which has no square root
    return [max(point.kl_nats_per_sequence, 0.0) for point in points], [score_of(point).mean for point in points]


def _largest_kl(inputs: ReportInputs) -> float:
    points = [point.kl_nats_per_sequence for policy in inputs.policies.values() for point in policy.frontier]
    finals = [policy.metrics for policy in inputs.policies.values()]
    return max([0.1, *points, *(max(one.kl_nats_per_sequence, one.kl_interval.high) for one in finals)])


def _sqrt_kl_axis(axes: Axes, largest: float) -> None:
    """Square-root scale, on which reward grows about linearly at first (Gao et al. 2022, arXiv:2210.10760)."""
    axes.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    limit = largest * 1.12
    axes.set_xlim(0, limit)
    ticks: list[float] = []
    for tick in _TICKS:
        if tick <= limit and (not ticks or np.sqrt(tick) - np.sqrt(ticks[-1]) >= 0.085 * np.sqrt(limit)):
            ticks.append(tick)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("KL from SFT, nats per sequence (square-root scale)")
    axes.margins(y=0.1)
