"""Buy or build: reward models on the same pairs, and the one that goes on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from pipeline.errors import PipelineError
from pipeline.evaluation.pairs import MatchedAccuracy
from pipeline.evaluation.reward import RewardMetrics
from pipeline.evaluation.statistics import Interval
from pipeline.models.reward import RewardModel
from pipeline.models.text_format import OWN_TEMPLATE, TextFormat, store_text_format
from pipeline.preferences.pair import PreferencePair, passages_of

OWN = "own"
BEST = "best"


class ModelRow(TypedDict):
    """A model's line of the comparison."""

    name: str
    accuracy: Interval
    length_matched: MatchedAccuracy
    expected_calibration_error: float
    error_after_temperature: float
    max_deviation: float
    truncated_texts: int
    pairs: int


def table_row(name: str, metrics: RewardMetrics) -> ModelRow:
    """A model's line of the comparison, from its metrics."""
    return {
        "name": name,
        "accuracy": metrics["accuracy"],
        "length_matched": metrics["length_matched"],
        "expected_calibration_error": metrics["expected_calibration_error"],
        "error_after_temperature": metrics["calibration"]["error_after"],
        "max_deviation": metrics["robustness"]["max_deviation"],
        "truncated_texts": metrics["truncated_texts"],
        "pairs": metrics["pairs"],
    }


def choose_model(table: Sequence[ModelRow], use: str) -> str:
    """Name of the model that goes to PPO and to the evaluation of policies.

    Args:
        table: rows of `table_row`, the own model first.
        use: a name in it, or best: the highest accuracy, then the lower calibration error, then the first.

    Raises:
        PipelineError: no model has that name.
    """
    if use == BEST:
        return min(table, key=lambda row: (-row["accuracy"]["mean"], row["expected_calibration_error"]))["name"]
    names = [row["name"] for row in table]
    if use not in names:
        raise PipelineError(f"evaluate_reward.use is {use!r}; it takes {BEST}, {', '.join(names)}.")
    return use


def shift_to_responses(model: RewardModel, pairs: Sequence[PreferencePair], *, batch_size: int) -> float:
    """Shift the scores to mean 0 over all responses of the training pairs, as those of the own model are.

    Returns:
        What was subtracted, in score units.
    """
    mean = model.score(passages_of(pairs), batch_size=batch_size).mean().item()
    model.shift(mean)
    return mean


def adopt_candidate(
    model: RewardModel, pairs: Sequence[PreferencePair], folder: Path, texts: TextFormat, *, batch_size: int
) -> list[str]:
    """Write a finished model as the one that goes on, shifted by `shift_to_responses`.

    Args:
        texts: what it scores from now on, and how it reads them.

    Returns:
        Lines for the terminal: by whose template it reads chats, where that is its own, and by how much it was shifted.
    """
    mean = shift_to_responses(model, pairs, batch_size=batch_size)
    model.save(folder)
    store_text_format(folder, texts)
    shifted = f"scores shifted by {-mean:.3f} to mean 0 on the training responses"
    return [OWN_TEMPLATE, shifted] if texts.own_template else [shifted]


def comparison_lines(table: Sequence[ModelRow], chosen: str) -> list[str]:
    """The table for the terminal, a line a model; the chosen one has a star."""
    width = max(len(row["name"]) for row in table)
    lines = []
    for row in table:
        accuracy, matched = row["accuracy"], row["length_matched"]
        alike = f"{matched['accuracy']['mean']:.3f}" if matched["accuracy"] else "-"
        lines.append(
            f"{'*' if row['name'] == chosen else ' '} {row['name']:<{width}}  accuracy {accuracy['mean']:.3f} "
            f"[{accuracy['low']:.3f}, {accuracy['high']:.3f}]  of equal length {alike} ({matched['pairs']} pairs)  "
            f"calibration error {row['expected_calibration_error']:.3f}"
        )
    return lines
