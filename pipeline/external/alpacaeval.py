"""AlpacaEval (Dubois et al. 2024, arXiv:2404.04475): win rates in its terms (tatsu-lab/alpaca_eval), in percent.

A preference is 1 where the baseline's output is the better one, 2 where the model's is, 1.5 (or 0) at a draw, and
anything between where the annotator is not sure.
"""

import math
from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np

from pipeline.errors import PipelineError
from pipeline.evaluation.length_control import GLM_NAME, length_controlled_winrate
from pipeline.external.rows import Row, text_field
from pipeline.external.scorers import BenchmarkScorer
from pipeline.reading.chats import Message

Preference = float | None


class WinRates(TypedDict):
    """Win rates in percent, and counts of preferences."""

    win_rate: float
    """Mean preference of the model."""
    standard_error: float | None
    """None with fewer than two preferences."""
    discrete_win_rate: float
    """Mean of the preferences, each rounded first, and a draw as one half."""
    n_wins: int
    n_wins_base: int
    n_draws: int
    n_total: int
    n_dropped: int
    """Rows whose preference is missing or not between 1 and 2."""


class ControlledWinRates(WinRates):
    """Win rates, with the one at equal length."""

    length_controlled_winrate: float | None
    """None where outputs are not known, or too few."""
    glm_name: str


class AlpacaEvalResult(ControlledWinRates):
    """Win rates, with the names of both models and of the annotator."""

    model: str
    baseline: str
    annotator: str
    text: NotRequired[str]
    """How prompt and response were written as one text, where outputs were scored here."""
    n_unmatched_outputs: NotRequired[int]
    """Rows of the model's file that the baseline's lacks."""
    n_unmatched_baseline: NotRequired[int]
    """Rows of the baseline's file that the model's lacks."""


def evaluate_outputs(
    outputs: Sequence[Row], baseline: Sequence[Row], scorer: BenchmarkScorer, *, sources: tuple[str, str]
) -> AlpacaEvalResult:
    """The model's outputs against the baseline's on the instructions that both files have.

    Args:
        outputs, baseline: rows with `instruction`, `output` and, where it is known, `generator`.
        sources: names of both files, for errors.

    Raises:
        PipelineError: naming file and row: a field is missing, an instruction comes twice, or nothing matches.
    """
    ours, theirs = (_by_instruction(rows, source) for rows, source in zip((outputs, baseline), sources, strict=True))
    shared = [instruction for instruction in ours if instruction in theirs]
    if not shared:
        raise PipelineError(
            f"{sources[0]} and {sources[1]} have no instruction in common. Both have to answer the same ones."
        )
    pairs = [(theirs[instruction], ours[instruction]) for instruction in shared]
    texts = [
        scorer.writer.write([Message("user", instruction)], output)
        for side in (1, 0)
        for instruction, output in zip(shared, (pair[side] for pair in pairs), strict=True)
    ]
    scores = np.asarray(scorer.score(texts), dtype=np.float64)
    preferences = preferences_of(scores[: len(shared)] - scores[len(shared) :], scorer.gives_log_odds)
    return {
        **describe(preferences, pairs),
        "model": _names(outputs, "generator"),
        "baseline": _names(baseline, "generator"),
        "annotator": scorer.name,
        "text": scorer.writer.style,
        "n_unmatched_outputs": len(ours) - len(shared),
        "n_unmatched_baseline": len(theirs) - len(shared),
    }


def evaluate_annotations(rows: Sequence[Row], *, source: str) -> AlpacaEvalResult:
    """Annotations as AlpacaEval stores them: `preference`, and `output_1` (the baseline's) and `output_2`.
    With both outputs in every row the length-controlled win rate is known, too.

    Raises:
        PipelineError: naming file and row: there is no preference, or it is no number.
    """
    preferences = [_preference(row, f"{source}, row {number}") for number, row in enumerate(rows, start=1)]
    with_texts = all(isinstance(row.get(field), str) for row in rows for field in ("output_1", "output_2"))
    pairs = [(row["output_1"], row["output_2"]) for row in rows] if with_texts else None
    return {
        **describe(preferences, pairs),
        "model": _names(rows, "generator_2"),
        "baseline": _names(rows, "generator_1"),
        "annotator": _names(rows, "annotator"),
    }


def describe(preferences: Sequence[Preference], pairs: Sequence[tuple[str, str]] | None) -> ControlledWinRates:
    """The `win_rates`, and the length-controlled one where pairs of outputs (baseline's, model's) are known."""
    controlled = length_controlled_winrate([_valid(preference) for preference in preferences], pairs) if pairs else None
    return {**win_rates(preferences), "length_controlled_winrate": controlled, "glm_name": GLM_NAME}


def win_rates(preferences: Sequence[Preference]) -> WinRates:
    """Mean preference of the model and its standard error, in percent, and counts.

    Raises:
        PipelineError: no value is a preference.
    """
    valid = np.array([preference for preference in map(_valid, preferences) if preference is not None])
    if not len(valid):
        raise PipelineError("no row has a preference between 1 and 2.")
    shares = valid - 1.0
    discrete = np.where(shares == 0.5, 0.5, np.round(shares))
    error = shares.std(ddof=1) / math.sqrt(len(shares)) * 100 if len(shares) > 1 else None
    return {
        "win_rate": float(shares.mean() * 100),
        "standard_error": None if error is None else float(error),
        "discrete_win_rate": float(discrete.mean() * 100),
        "n_wins": int((shares > 0.5).sum()),
        "n_wins_base": int((shares < 0.5).sum()),
        "n_draws": int((shares == 0.5).sum()),
        "n_total": len(shares),
        "n_dropped": len(preferences) - len(valid),
    }


def _valid(preference: Preference) -> Preference:
    """The preference, with 1.5 for the older 0 of a draw; None for a value outside [1, 2]."""
    if preference is None or not (preference == 0 or 1 <= preference <= 2):
        return None
    return preference or 1.5


def preferences_of(differences: np.ndarray, log_odds: bool) -> list[Preference]:
    """Preferences (N,) from model minus baseline scores (N,).

    Where a difference is the log-odds of winning, the preference is 1 plus the probability; else it is 2, 1 or 1.5.
    """
    if log_odds:
        return list(1.0 + np.exp(-np.logaddexp(0.0, -differences)))
    return list(1.5 + 0.5 * np.sign(differences))


def _by_instruction(rows: Sequence[Row], source: str) -> dict[str, str]:
    outputs: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        where = f"{source}, row {number}"
        instruction = text_field(row, "instruction", where)
        if instruction in outputs:
            raise PipelineError(f"{where}: an earlier row has its instruction. Keep one output for each instruction.")
        outputs[instruction] = text_field(row, "output", where)
    return outputs


def _preference(row: Row, where: str) -> Preference:
    value = row.get("preference")
    if "preference" not in row or (value is not None and not isinstance(value, int | float)):
        raise PipelineError(f"{where}: 'preference' is {value!r}; it is a number from 1 to 2, or null.")
    return None if value is None or math.isnan(value) else float(value)


def _names(rows: Sequence[Row], field: str) -> str:
    return ", ".join(sorted({str(row[field]) for row in rows if field in row})) or "unnamed"
