"""All plots of the report as SVG files."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.report.inputs import ReportInputs
from pipeline.report.plot_style import plot_style, save_svg
from pipeline.report.plots_policies import draw_overoptimization
from pipeline.report.plots_preferences import draw_preferences, draw_reward_calibration
from pipeline.report.plots_training import draw_training


def draw_plots(inputs: ReportInputs, folder: Path) -> dict[str, Path]:
    """Draw every plot into `folder`; equal inputs give equal bytes.

    Returns:
        The files by name: `overoptimization`, `training_sft`, `training_reward`, `training_METHOD` for each method,
        `reward_calibration`, `preferences`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _draw(name, draw, folder) for name, draw in _drawings(inputs).items()}


def _drawings(inputs: ReportInputs) -> dict[str, Callable[[], Figure]]:
    histories = {name.removeprefix("train_"): name for name in inputs.histories}
    return {
        "overoptimization": partial(draw_overoptimization, inputs),
        **{
            f"training_{short}": partial(draw_training, name, inputs.histories[name])
            for short, name in histories.items()
        },
        "reward_calibration": partial(draw_reward_calibration, inputs.calibration),
        "preferences": partial(draw_preferences, inputs.preferences),
    }


def _draw(name: str, draw: Callable[[], Figure], folder: Path) -> Path:
    with plot_style(name):
        return save_svg(draw(), folder / f"{name}.svg")
