"""The fitted curves and the comparisons prompt by prompt, as rows of tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.curves import Curve, best_of_n_curve, run_curve
from pipeline.report.formats import number, percent, signed
from pipeline.report.inputs import ReportInputs
from pipeline.report.pairs import PairedComparison, compare_pairs
from pipeline.report.palette import policy_label

_QUANTITY = {"gold": "judge", "proxy": "reward model"}
NONE = "–"


@dataclass(frozen=True)
class FitRow:
    """One curve as text; a dash where it could not be fitted."""

    source: str
    quantity: str
    alpha: str
    beta: str
    rmse: str
    fitted_peak: str
    measured_peak: str


@dataclass(frozen=True)
class PairRow:
    """Two policies as text."""

    first: str
    second: str
    difference: str
    interval: str
    clear: str
    win_rate: str


def fit_rows(inputs: ReportInputs) -> list[FitRow]:
    """The judge's and the reward model's curve of best-of-n and of each method's run."""
    rows = []
    for quantity, shown in _QUANTITY.items():
        best = best_of_n_curve(inputs, quantity)
        curves = [("Best of n", "n =", best)] if best is not None else []
        curves += [(policy_label(name), "step", run_curve(run, quantity)) for name, run in inputs.trained.items()]
        rows += [_fit_row(source, shown, label, curve) for source, label, curve in curves]
    return rows


def _fit_row(source: str, quantity: str, label: str, curve: Curve) -> FitRow:
    peak, fit = curve.peak, curve.fit
    digits = 3 if quantity == "judge" else 2
    measured = f"{number(peak.kl, 1)} nats, {label} {peak.at}: {signed(peak.gain.mean, digits)}"
    if fit is None:
        return FitRow(source, quantity, NONE, NONE, NONE, "too few points", measured)
    return FitRow(
        source,
        quantity,
        number(fit.alpha, digits),
        number(fit.beta, digits),
        f"{number(fit.rmse, digits)} on {fit.points}",
        _fitted_peak(fit.alpha, fit.peak_kl, beyond=bool(fit.beyond_measured)),
        measured,
    )


def _fitted_peak(alpha: float, kl: float | None, *, beyond: bool) -> str:
    if alpha <= 0 and kl is None:
        return "none, it does not rise from SFT"
    if kl is None:
        return "none, it only rises"
    # a peak beyond the measured range is extrapolated: as a number it would be taken for a result
    return "beyond what was measured" if beyond else f"{number(kl, 1)} nats"


def pair_rows(inputs: ReportInputs) -> Sequence[PairRow]:
    """Every two policies."""
    return [_pair_row(one) for one in compare_pairs(inputs)]


def _pair_row(one: PairedComparison) -> PairRow:
    clear = "no clear difference"
    if one.difference.rose or one.difference.fell:
        clear = f"{policy_label(one.first if one.difference.rose else one.second)} is better"
    interval = f"{signed(one.difference.low, 3)} to {signed(one.difference.high, 3)}"
    return PairRow(one.first, one.second, signed(one.difference.mean, 3), interval, clear, percent(one.win_rate))
