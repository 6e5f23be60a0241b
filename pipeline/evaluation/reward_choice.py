"""Compares the own reward model with finished ones on the same pairs, and chooses the one for PPO."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

from pipeline.errors import PipelineError
from pipeline.evaluation.reward import evaluate_reward, warnings_of
from pipeline.models.compute import Compute
from pipeline.models.reward import RewardModel
from pipeline.models.reward_loading import load_reward_model, texts_of_finished
from pipeline.models.text_format import OWN_TEMPLATE, TextFormat, store_text_format
from pipeline.params.evaluation import EvaluateReward
from pipeline.preferences.pair import PreferencePair, passages_of
from pipeline.results.reward import Calibration, ComparedRewardModel, MeasuredRewardModel

OWN = "own"
BEST = "best"


def measure_models(
    folders: Mapping[str, Path],
    pairs: Sequence[PreferencePair],
    validation: Sequence[PreferencePair],
    settings: EvaluateReward,
    *,
    compute: Compute,
    texts: TextFormat,
    on_seconds: Callable[[str, float], None],
) -> dict[str, tuple[MeasuredRewardModel, Calibration]]:
    """`evaluate_reward` of each model, by name; warnings about a model go to the terminal.

    Args:
        folders: by name, the own model first.
        texts: what pairs are written as.
        on_seconds: called with each name and the seconds that it took.

    Raises:
        PipelineError: a model cannot be measured; it is named.
    """
    measured = {}
    for name, folder in folders.items():
        start = perf_counter()
        model = load_reward_model(folder, compute, texts=texts if name == OWN else texts_of_finished(folder, texts))
        try:
            measured[name] = evaluate_reward(model, pairs, validation, settings)
        except PipelineError as error:
            raise PipelineError(f"{name} (evaluate_reward.candidates; own is the one trained here): {error}") from None
        for warning in warnings_of(name, measured[name][0], settings):
            print(f"warning: {warning}", flush=True)
        seconds = perf_counter() - start
        print(f"{name}: {len(pairs)} test pairs in {seconds:.1f} s", flush=True)
        on_seconds(name, seconds)
    return measured


def table_row(name: str, metrics: MeasuredRewardModel) -> ComparedRewardModel:
    """A model's line of the comparison, from its metrics."""
    return ComparedRewardModel(
        name=name,
        accuracy=metrics.accuracy,
        length_matched=metrics.length_matched,
        expected_calibration_error=metrics.expected_calibration_error,
        error_after_temperature=metrics.calibration.error_after,
        max_deviation=metrics.robustness.max_deviation,
        truncated_texts=metrics.truncated_texts,
        pairs=metrics.pairs,
    )


def choose_model(table: Sequence[ComparedRewardModel], use: str) -> str:
    """Name of the model that goes to PPO and to the evaluation of policies.

    Args:
        table: rows of `table_row`, the own model first.
        use: a name in it, or best: the highest accuracy, then the lower calibration error, then the first.

    Raises:
        PipelineError: no model has that name.
    """
    if use == BEST:
        return min(table, key=lambda row: (-row.accuracy.mean, row.expected_calibration_error)).name
    names = [row.name for row in table]
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


def write_candidate(model: RewardModel, folder: Path, texts: TextFormat, *, shifted: float) -> None:
    """Write a finished model as the one that PPO uses.

    Prints by how much it was shifted, and whether it reads chats by its own chat template.

    Args:
        texts: what it scores from now on, and how it reads them.
        shifted: what `shift_to_responses` has subtracted from its scores.
    """
    if texts.own_template:
        print(OWN_TEMPLATE, flush=True)
    model.save(folder)
    store_text_format(folder, texts)
    print(f"scores shifted by {-shifted:.3f} to mean 0 on the training responses", flush=True)


def comparison_lines(table: Sequence[ComparedRewardModel], chosen: str) -> list[str]:
    """The table for the terminal, a line a model; the chosen one has a star."""
    width = max(len(row.name) for row in table)
    lines = []
    for row in table:
        accuracy, matched = row.accuracy, row.length_matched
        alike = f"{matched.accuracy.mean:.3f}" if matched.accuracy else "-"
        lines.append(
            f"{'*' if row.name == chosen else ' '} {row.name:<{width}}  accuracy {accuracy.mean:.3f} "
            f"[{accuracy.low:.3f}, {accuracy.high:.3f}]  of equal length {alike} ({matched.pairs} pairs)  "
            f"calibration error {row.expected_calibration_error:.3f}"
        )
    return lines
