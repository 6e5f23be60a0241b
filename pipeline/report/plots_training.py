"""Training curves as small multiples, a panel for each metric that tells whether training went well."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.inputs import HistoryRow
from pipeline.report.plot_style import ACCENT, CONTRAST, MUTED, new_figure

FEW_STEPS = 40
PANEL_HEIGHT_INCHES = 1.75


@dataclass(frozen=True)
class Panel:
    """One small plot: a title with the unit, one or two metrics, and perhaps a line to compare with."""

    title: str
    metrics: tuple[str, ...]
    labels: tuple[str, ...] = ()
    guide: float | None = None
    guide_label: str = ""
    averaged: bool = True
    """Add a moving average when there are many steps."""


_HELD_OUT = ("train", "validation")
_PANELS = {
    "train_sft": [
        Panel("Loss (nats per token)", ("loss", "validation_loss"), _HELD_OUT),
        Panel("Learning rate", ("learning_rate",), averaged=False),
        Panel("Gradient norm", ("grad_norm",)),
    ],
    "train_reward": [
        Panel("Loss (nats per pair)", ("loss", "validation_loss"), _HELD_OUT, guide=math.log(2), guide_label="ln 2"),
        Panel("Accuracy", ("accuracy", "validation_accuracy"), _HELD_OUT),
        Panel("Margin of the pair", ("margin", "validation_margin"), _HELD_OUT, guide=0.0),
    ],
    "dpo": [
        Panel("Loss (nats per pair)", ("loss", "validation_loss"), _HELD_OUT, guide=math.log(2), guide_label="ln 2"),
        Panel("Accuracy", ("accuracy", "validation_accuracy"), _HELD_OUT, guide=0.5),
        Panel("Implicit rewards", ("chosen_rewards", "rejected_rewards"), ("chosen", "rejected"), guide=0.0),
        Panel("Chosen log-prob (Δ nats)", ("chosen_logps_change",), guide=0.0),
        Panel("Margin of the pair", ("margin", "validation_margin"), _HELD_OUT, guide=0.0),
        Panel("Gradient norm", ("grad_norm",)),
    ],
    "ppo": [
        Panel("Reward-model score", ("score",)),
        Panel("KL (nats per sequence)", ("kl_k1", "kl_k3"), ("k1", "k3")),
        Panel("Entropy (nats per token)", ("entropy",)),
        Panel("Clipped share of tokens", ("clip_fraction",)),
        Panel("Largest ratio", ("ratio_max",), guide=1.0),
        Panel("Explained variance", ("explained_variance",), guide=0.0),
        Panel("Response tokens", ("response_tokens",)),
        Panel("EOS rate", ("eos_rate",)),
        Panel("Sampler KL (nats per token)", ("sampler_kl",)),
    ],
}
_PANELS["hybrid"] = _PANELS["ppo"]


def draw_training(name: str, history: Sequence[HistoryRow]) -> Figure:
    """Curves of one history: chosen panels for known stages and methods, up to eight metrics for others.

    Args:
        name: `train_sft`, `train_reward` or a method.
        history: a row for each optimiser step; PPO has one for each iteration.
    """
    known = {key for row in history for key in row}
    panels = [panel for panel in _PANELS.get(name) or _generic_panels(known) if panel.metrics[0] in known]
    rows = math.ceil(len(panels) / 2) or 1
    figure = new_figure(PANEL_HEIGHT_INCHES * rows + 0.35)
    grid = figure.add_gridspec(rows, 2)
    # an odd number of panels leaves no hole: the first one is wide
    wide = len(panels) % 2
    for index, panel in enumerate(panels):
        place = index + wide if index else 0
        cell = grid[0, :] if wide and index == 0 else grid[place // 2, place % 2]
        _draw_panel(figure.add_subplot(cell), _guided(_known(panel, known), history), history)
    if not panels:
        figure.text(0.5, 0.5, "nothing was trained", ha="center", va="center", color=MUTED)
    figure.supxlabel("PPO iteration" if name == "ppo" else "step", fontsize=9.5, color=MUTED)
    return figure


def _known(panel: Panel, known: set[str]) -> Panel:
    """The panel without a second metric that the history lacks; a single metric needs no label."""
    return panel if set(panel.metrics) <= known else replace(panel, metrics=panel.metrics[:1], labels=())


def _guided(panel: Panel, history: Sequence[HistoryRow]) -> Panel:
    """The panel without its line at ln 2 where the loss does not begin there, such as ipo's or one with margins."""
    first = next((row[panel.metrics[0]] for row in history if panel.metrics[0] in row), 0.0)
    misleads = panel.guide_label == "ln 2" and abs(first - math.log(2)) > _NEAR
    return replace(panel, guide=None, guide_label="") if misleads else panel


_NEAR = 0.2


def _generic_panels(known: set[str]) -> list[Panel]:
    return [Panel(key.replace("_", " ").capitalize(), (key,)) for key in sorted(known - {"step"})[:8]]


def _draw_panel(axes: Axes, panel: Panel, history: Sequence[HistoryRow]) -> None:
    if panel.guide is not None:
        axes.axhline(panel.guide, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=1.5)
        axes.annotate(
            panel.guide_label, (1, panel.guide), (0, 2), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", fontsize=8.5, color=MUTED,
        )  # fmt: skip
    for metric, colour in zip(panel.metrics, (ACCENT, CONTRAST), strict=False):
        points = [(row["step"], row[metric]) for row in history if metric in row]
        if points:
            steps, values = zip(*points, strict=True)
            _draw_curve(axes, steps, values, colour, averaged=panel.averaged)
    axes.set_title(panel.title)
    axes.margins(x=0.03, y=0.12)
    axes.locator_params(axis="both", nbins=4)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
    _label_curves(axes, panel)


def _draw_curve(axes: Axes, steps: Sequence[float], values: Sequence[float], colour: str, *, averaged: bool) -> None:
    """Few steps with markers; many steps faint, with their moving average over a tenth of the run on top."""
    if len(steps) <= FEW_STEPS or not averaged:
        axes.plot(
            steps, values, color=colour, linewidth=1.6, marker="o" if len(steps) <= FEW_STEPS else "", markersize=3
        )
        return
    axes.plot(steps, values, color=colour, linewidth=0.8, alpha=0.35)
    axes.plot(steps, moving_average(values, len(values) // 10), color=colour, linewidth=1.8)


def moving_average(values: Sequence[float], window: int) -> list[float]:
    """Mean of the last `window` values at each position; at the start, of all values so far."""
    spans = [values[max(0, end - max(window, 1)) : end] for end in range(1, len(values) + 1)]
    return [sum(span) / len(span) for span in spans]


def _label_curves(axes: Axes, panel: Panel) -> None:
    """Names in the colour of their curve, beside the title, where they cover no data."""
    for place, (label, colour) in enumerate(zip(panel.labels, (ACCENT, CONTRAST), strict=False)):
        last = place == len(panel.labels) - 1
        axes.annotate(
            label, (1, 1), (0, -2 if last else 10), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="bottom", fontsize=8.5, color=colour,
        )  # fmt: skip
