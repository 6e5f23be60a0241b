"""A reward model as the judge: any that `pipeline.models.reward_loading` loads, stored with the scale of its scores."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.data.passages import Passage
from pipeline.judges.pointwise import PointwiseJudge
from pipeline.models.compute import Compute
from pipeline.models.reward import RewardModel
from pipeline.models.reward_loading import load_reward_model

MODEL = "model"
"""Name of the model's folder inside the folder of the judge."""


def save_reward_judge(folder: Path, compute: Compute, texts: Sequence[Passage], *, batch_size: int) -> PointwiseJudge:
    """Find the scale of the scores of the model in `folder / MODEL`, and write `judge.json` beside it.

    The score shown is `sigmoid((raw - mean) / std)`, with mean and standard deviation over `texts`: raw scores of a
    third-party model may be anywhere, and a bare sigmoid would then round them all to 0 or 1. Without texts it is the
    bare sigmoid.
    """
    raw = _raw_scores(load_reward_model(folder / MODEL, compute, scores_alone=True), texts, batch_size)
    scale = {"mean": float(raw.mean()), "std": float(raw.std()) or 1.0} if len(raw) else {"mean": 0.0, "std": 1.0}
    facts = {"kind": "reward_model", "batch_size": batch_size, **scale}
    (folder / "judge.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
    return load_reward_judge(folder, compute)


def load_reward_judge(folder: Path, compute: Compute) -> PointwiseJudge:
    """A judge that `save_reward_judge` wrote."""
    facts = json.loads((folder / "judge.json").read_text())
    model = load_reward_model(folder / MODEL, compute, scores_alone=True)
    mean, std, batch_size = facts["mean"], facts["std"], facts["batch_size"]
    return PointwiseJudge(
        lambda texts: _raw_scores(model, texts, batch_size),
        lambda raw: torch.sigmoid(torch.from_numpy((raw - mean) / std)).numpy(),
    )


def _raw_scores(model: RewardModel, texts: Sequence[Passage], batch_size: int) -> np.ndarray:
    return model.score(texts, batch_size=batch_size).double().numpy()
