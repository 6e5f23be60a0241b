"""The look of all plots, and saving them as SVG with the same bytes every time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# One width for all, so that text has one size when plots share a column of the page.
WIDTH_INCHES = 5.2
TEXT = "#1f2933"
MUTED = "#5f6b7a"
GRID = "#e4e8ee"
ACCENT = "#0072b2"
CONTRAST = "#d55e00"

_STYLE: Any = {
    "font.size": 10.5,
    "font.family": "sans-serif",
    # Text stays text (small files, found by search); the narrower fallbacks fit where DejaVu Sans was measured.
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
    "svg.fonttype": "none",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": "#9aa5b1",
    "ytick.color": "#9aa5b1",
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.solid_capstyle": "round",
}


@contextmanager
def plot_style(name: str) -> Iterator[None]:
    """Draw and save inside this context; `name` makes the ids of the SVG reproducible and different per plot."""
    with matplotlib.rc_context():
        # a user's matplotlibrc must not change the bytes
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        matplotlib.rcParams["svg.hashsalt"] = name
        yield


def new_figure(height_inches: float) -> Figure:
    """A figure of the common width, without pyplot and its global state."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def save_svg(figure: Figure, path: Path) -> Path:
    """Write the figure without date and creator."""
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    return path


def legend_above(axes: Axes, *, columns: int) -> None:
    """A legend in rows over the plot, where it covers no data."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        handletextpad=0.5,
        columnspacing=1.4,
    )
