"""The inputs of PPO, as evaluate_reward hands them on: reward model, prompts, and what the gate decides by."""

import shutil
from pathlib import Path

from pipeline.evaluation.reward_choice import OWN, shift_to_responses, write_candidate
from pipeline.models.compute import Compute
from pipeline.models.folders import link_files
from pipeline.models.reward_loading import load_reward_model, texts_of_finished
from pipeline.models.text_format import TextFormat
from pipeline.preferences.pair import read_pairs
from pipeline.results.reward import MeasuredRewardModel
from pipeline.stage.execution import Stage
from pipeline.training.ppo_inputs import PROMPTS, REWARD_MODEL, write_figures
from pipeline.training.reward_gate import GateFigures


def hand_to_ppo(
    stage: Stage, name: str, folder: Path, metrics: MeasuredRewardModel, compute: Compute, texts: TextFormat
) -> None:
    """Write artifacts/inputs/ppo; a model that was not trained here is first shifted to mean 0 on training responses.

    Args:
        name: `own`, or that of a candidate.
        folder: of the model.
        metrics: what was measured of it.
        texts: what training pairs are written as.
    """
    inputs = stage.output("artifacts/inputs/ppo")
    if name == OWN:
        stage.only_first_goes_on()
        link_files(folder, inputs / REWARD_MODEL)
    else:
        texts = texts_of_finished(folder, texts)
        model = load_reward_model(folder, compute, texts=texts)
        pairs = read_pairs(stage.input("artifacts/preferences/accepted/train.jsonl"))
        batch_size = 2 * stage.params.evaluate_reward.batch_size
        shifted = shift_to_responses(model, pairs, batch_size=batch_size)
        stage.only_first_goes_on()
        write_candidate(model, inputs / REWARD_MODEL, texts, shifted=shifted)
    shutil.copy(stage.input("artifacts/data/prompts/train.jsonl"), inputs / PROMPTS)
    accuracy = metrics.accuracy
    gate: GateFigures = {
        "model": name,
        "accuracy": {"mean": accuracy.mean, "low": accuracy.low, "high": accuracy.high},
        "longer_wins_accuracy": metrics.longer_wins_accuracy,
        "pairs": metrics.pairs,
    }
    write_figures(inputs, gate, stage.params.sampling)
