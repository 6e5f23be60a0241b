"""Judge and reward-model score against KL: what training gained, what it optimised, and where the two part."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.report.curves import Curve, best_of_n_curve, run_curve
from pipeline.report.inputs import ReportInputs, TrainedPolicy
from pipeline.report.pairs import paired_difference
from pipeline.report.palette import SFT_COLOUR, Look, policy_looks
from pipeline.report.plot_style import MUTED, new_figure
from pipeline.results.document import Interval
from pipeline.results.policies import PolicyMetrics

_TICKS = (0, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 1000, 2000, 5000)
_FIT_POINTS = 60
PANELS = {"gold": "Judge: what it is worth", "proxy": "Reward model: what is optimised"}


def draw_overoptimization(inputs: ReportInputs) -> Figure:
    """Gains over SFT against the distance from it: the judge's above, the reward model's below, on one KL axis.

    KL is drawn as its square root, on which gains grow about linearly at first (Gao et al. 2022, arXiv:2210.10760).
    Roots are plotted on a linear axis with ticks named in nats: a function scale has no inverse below 0, where margins
    and whiskers may reach.
    """
    figure = new_figure(7.4)
    panels = dict(zip(PANELS, figure.subplots(2, 1, sharex=True), strict=True))
    looks = policy_looks(inputs.policies)
    for quantity, axes in panels.items():
        axes.axhline(0, color=MUTED, linewidth=0.9, zorder=1)
        _draw_best_of_n(axes, best_of_n_curve(inputs, quantity))
        for method, runs in inputs.runs.items():
            shown = inputs.trained[method]
            for run in runs:
                if run is not shown:
                    _draw_other_seed(axes, run_curve(run, quantity), looks[method])
            _draw_run(axes, run_curve(shown, quantity), shown, looks[method])
            axes.axvline(run_curve(shown, "gold").peak.kl ** 0.5, color=looks[method].colour, **_PEAK_LINE)
            _draw_final(axes, inputs, shown, quantity, looks[method])
        axes.set_title(PANELS[quantity])
        axes.set_ylabel("gain over SFT")
        axes.margins(y=0.1)
    _root_axis(panels["proxy"], _largest_kl(inputs))
    handles = _legend(inputs, looks)
    figure.legend(handles=handles, loc="outside upper left", ncols=3, handlelength=1.8, columnspacing=1.0)
    return figure


_PEAK_LINE: dict = {"linewidth": 1.0, "linestyle": (0, (1, 2)), "alpha": 0.9, "zorder": 1.5}
_FIT_LINE: dict = {"linewidth": 1.1, "linestyle": (0, (5, 2))}


def _roots(curve: Curve) -> list[float]:
    return [point.kl**0.5 for point in curve.points]


def _gains(curve: Curve) -> list[float]:
    return [point.gain.mean for point in curve.points]


def _draw_best_of_n(axes: Axes, curve: Curve | None) -> None:
    """The line that any training has to beat at equal KL, from best-of-1, which is the SFT policy."""
    if curve is None:
        return
    axes.plot(_roots(curve), _gains(curve), "o", color="white", markeredgecolor=SFT_COLOUR, markersize=4.5, zorder=4)
    _draw_fit(axes, curve, SFT_COLOUR)
    for point in curve.points:
        if point.at > 1:
            axes.annotate(
                f"n={point.at}", (point.kl**0.5, point.gain.mean), (-4, 4), textcoords="offset points", ha="right",
                fontsize=8.5, color=MUTED,
            )  # fmt: skip


def _draw_fit(axes: Axes, curve: Curve, colour: str) -> None:
    """The fitted curve up to the largest measured KL, as it would be a guess beyond; without a fit, joined points."""
    if curve.fit is None:
        axes.plot(_roots(curve), _gains(curve), color=colour, zorder=2.5, **_FIT_LINE)
        return
    roots = np.linspace(0, max(_roots(curve)), _FIT_POINTS)
    axes.plot(roots, [curve.fit.gain(root**2) for root in roots], color=colour, zorder=2.5, **_FIT_LINE)


def _draw_run(axes: Axes, curve: Curve, run: TrainedPolicy, look: Look) -> None:
    """Checkpoints with 95 % intervals in order of their steps, the selected one ringed."""
    roots, gains = _roots(curve), _gains(curve)
    axes.plot(roots, gains, color=look.colour, linewidth=1.4, alpha=0.45, zorder=3)
    for point in curve.points[1:]:
        axes.plot(
            [point.kl**0.5] * 2, [point.gain.low, point.gain.high], color=look.colour, linewidth=1, alpha=0.25, zorder=2
        )
    axes.plot(roots[1:], gains[1:], look.marker, color=look.colour, markersize=4.5, alpha=0.9, zorder=4)
    _draw_fit(axes, curve, look.colour)
    for point in curve.points:
        if point.at == run.checkpoints.selected_step:
            axes.plot(
                [point.kl**0.5], [point.gain.mean], "o", markersize=11, markerfacecolor="none",
                markeredgecolor=look.colour, markeredgewidth=1.3, zorder=5, clip_on=False,
            )  # fmt: skip


def _draw_other_seed(axes: Axes, curve: Curve, look: Look) -> None:
    axes.plot(_roots(curve), _gains(curve), color=look.colour, linewidth=1, alpha=0.3, zorder=2)


def _draw_final(axes: Axes, inputs: ReportInputs, run: TrainedPolicy, quantity: str, look: Look) -> None:
    """The selected checkpoint again, on the evaluation prompts, as a gain over SFT on the same."""
    gain, kl = final_gain(inputs, run, quantity), run.metrics.kl_interval
    x = _root(run.metrics.kl_nats_per_sequence)
    # bars apart from the marker: those that leave the plot are cut, it is not
    axes.plot([_root(kl.low), _root(kl.high)], [gain.mean] * 2, color=look.colour, linewidth=1.5, zorder=5)
    axes.plot([x, x], [gain.low, gain.high], color=look.colour, linewidth=1.5, zorder=5)
    axes.plot(
        [x], [gain.mean], look.marker, color=look.colour, markersize=9, markeredgecolor="white", zorder=6,
        clip_on=False, label=look.label,
    )  # fmt: skip


def final_gain(inputs: ReportInputs, run: TrainedPolicy, quantity: str) -> Interval:
    """Score on the evaluation prompts minus that of SFT on the same, prompt by prompt."""
    return paired_difference(run.samples, inputs.sft.samples, "judge_score" if quantity == "gold" else "reward_score")


def _root(kl: float) -> float:
    # an estimate of a KL near 0 can be negative, which has no square root
    return max(kl, 0.0) ** 0.5


def _largest_kl(inputs: ReportInputs) -> float:
    runs = [run for runs in inputs.runs.values() for run in runs]
    points = [point.kl_nats_per_sequence for run in runs for point in run.checkpoints.points]
    best = [point.kl_nats_per_sequence for point in inputs.sft.frontier]
    finals: list[PolicyMetrics] = [run.metrics for run in inputs.trained.values()]
    return max([0.1, *points, *best, *(max(one.kl_nats_per_sequence, one.kl_interval.high) for one in finals)])


def _root_axis(axes: Axes, largest: float) -> None:
    """Ticks in nats at their square roots, as many as do not run into each other."""
    limit = np.sqrt(largest) * 1.06
    axes.set_xlim(-0.02 * limit, limit)
    ticks: list[float] = []
    for tick in _TICKS:
        if np.sqrt(tick) <= limit and (not ticks or np.sqrt(tick) - np.sqrt(ticks[-1]) >= 0.085 * limit):
            ticks.append(tick)
    axes.set_xticks(np.sqrt(ticks), [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("KL from SFT, nats per sequence (square-root scale)")


def _legend(inputs: ReportInputs, looks: dict[str, Look]) -> Sequence[Line2D]:
    policies = [
        Line2D([], [], color=looks[name].colour, marker=looks[name].marker, linewidth=1.4, label=looks[name].label)
        for name in inputs.methods
    ]
    best = Line2D([], [], color="none", marker="o", markerfacecolor="white", markeredgecolor=SFT_COLOUR,
                  markersize=4.5, label="SFT, best of n")  # fmt: skip
    ring = Line2D([], [], color="none", marker="o", markersize=10, markerfacecolor="none", markeredgecolor=MUTED,
                  label="selected checkpoint")  # fmt: skip
    final = Line2D([], [], color=MUTED, marker="s", markersize=8, markeredgecolor="white", linewidth=1.5,
                   label="on evaluation prompts")  # fmt: skip
    fit = Line2D([], [], color=MUTED, label="fitted curve", **_FIT_LINE)
    peak = Line2D([], [], color=MUTED, label="judge's peak", **_PEAK_LINE)
    return [*policies, best, ring, peak, fit, final]
