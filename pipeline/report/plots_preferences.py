"""The preference data, and how far the reward model trained on it can be trusted."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.plot_style import ACCENT, CONTRAST, MUTED, legend_above, new_figure
from pipeline.results.preferences import PreferenceSummary
from pipeline.results.reward import Calibration

HISTOGRAM_BINS = 24


def draw_reward_calibration(calibration: Calibration) -> Figure:
    """Reliability with the pairs in each bin, and the scores of chosen and rejected responses."""
    figure = new_figure(5.6)
    reliability, scores = figure.subplots(2, 1, height_ratios=[1.5, 1])
    _draw_reliability(reliability, calibration)
    _draw_histograms(scores, calibration.chosen_scores, calibration.rejected_scores)
    scores.set_xlabel("reward-model score of a response (dashed: mean)")
    scores.set_ylabel("responses")
    return figure


def draw_preferences(summary: PreferenceSummary) -> Figure:
    """Lengths of chosen and rejected responses: a difference is what a reward model learns first."""
    figure = new_figure(4.6)
    axes = figure.add_subplot()
    _draw_histograms(axes, summary.chosen_words, summary.rejected_words, whole_numbers=True)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("words in a response (dashed: mean)")
    axes.set_ylabel("responses")
    return figure


def _draw_reliability(axes: Axes, calibration: Calibration) -> None:
    """Accuracy against confidence; bars behind show the pairs of each bin, on the scale at the right."""
    bins = [one for one in calibration.bins if one.count and one.confidence is not None and one.accuracy is not None]
    counts = axes.twinx()
    counts.bar(
        [(one.low + one.high) / 2 for one in bins],
        [one.count for one in bins],
        width=[0.9 * (one.high - one.low) for one in bins],
        color="#dbe4ee",
    )
    counts.set_ylim(0, 2.5 * max([1, *(one.count for one in bins)]))
    counts.set_ylabel("pairs (bars)")
    counts.grid(False)
    axes.set_zorder(counts.get_zorder() + 1)
    axes.plot([0.5, 1], [0.5, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)), label="perfect")
    confidence = [one.confidence for one in bins if one.confidence is not None]
    accuracy = [one.accuracy for one in bins if one.accuracy is not None]
    axes.plot(confidence, accuracy, "-o", color=ACCENT, markersize=5, linewidth=1.5, label="reward model")
    axes.set_xlim(0.49, 1.01)
    axes.set_ylim(min([0.4, *accuracy]) - 0.03, 1.03)
    axes.set_xlabel("confidence of the reward model, sigmoid(|margin|)")
    axes.set_ylabel("accuracy")
    legend_above(axes, columns=2)


def _draw_histograms(
    axes: Axes, chosen: Sequence[float], rejected: Sequence[float], *, whole_numbers: bool = False
) -> None:
    """Two outlined histograms over the same bins, with their means."""
    edges = _bin_edges([*chosen, *rejected], whole_numbers=whole_numbers)
    for name, values, colour in (("chosen", chosen, ACCENT), ("rejected", rejected, CONTRAST)):
        if values:
            axes.hist(values, bins=edges, histtype="stepfilled", color=colour, alpha=0.18)
            axes.hist(values, bins=edges, histtype="step", color=colour, linewidth=1.5, label=name)
            axes.axvline(float(np.mean(values)), color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
    if chosen or rejected:
        legend_above(axes, columns=2)


def _bin_edges(values: Sequence[float], *, whole_numbers: bool) -> list[float]:
    """Bins of equal width; those of whole numbers cover equally many each, or some would be fuller."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if not whole_numbers:
        return np.linspace(low, high if high > low else low + 1.0, HISTOGRAM_BINS + 1).tolist()
    width = max(1, int(np.ceil((high - low + 1) / HISTOGRAM_BINS)))
    return np.arange(low - 0.5, high + 0.5 + width, width).tolist()
