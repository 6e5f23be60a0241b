"""What a training loop reports, recorded; and what it did to the weights."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.models.compute import Compute
from pipeline.models.reward import RewardModel
from pipeline.preferences.pair import PreferencePair
from pipeline.training.reward import pair_scores
from pipeline.training.run import TrainingRun


class Recorder:
    """Listens to a trainer."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.steps: list[int] = []
        self.checkpoints: list[int] = []
        self.tokens: list[int] = []

    def run(self, compute: Compute, *, seed: int = 0, **more: Any) -> TrainingRun:
        """A run that this recorder listens to; `more` are further fields, or others."""
        mine = {"on_step": self._step, "on_tokens": self._tokens, "on_checkpoint": self.checkpoints.append}
        return TrainingRun(compute, seed, **(mine | more))

    def column(self, name: str) -> list[float]:
        return [row[name] for row in self.rows]

    def _step(self, step: int, metrics: dict[str, float]) -> None:
        self.steps.append(step)
        self.rows.append(metrics)

    def _tokens(self, tokens: int, seconds: float) -> None:
        assert seconds >= 0
        self.tokens.append(tokens)


def pair_accuracy(model: RewardModel, pairs: Sequence[PreferencePair]) -> float:
    """Share of pairs whose chosen response scores higher."""
    chosen, rejected = pair_scores(model, pairs).unbind(1)
    return (chosen > rejected).float().mean().item()


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def assert_only_trainable_parameters_changed(model: nn.Module, before: dict[str, Tensor]) -> None:
    """Name every trainable parameter that stayed, and every frozen one that moved."""
    same = {name: torch.equal(parameter, before[name]) for name, parameter in model.named_parameters()}
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trainable, "nothing is trainable"
    assert [name for name in trainable if same[name]] == [], "trainable parameters did not change"
    assert [name for name in set(same) - trainable if not same[name]] == [], "frozen parameters changed"


def assert_same_bytes(first: nn.Module, second: nn.Module) -> None:
    """Every parameter is bit for bit the same."""
    others = second.state_dict()
    different = [name for name, value in first.state_dict().items() if not torch.equal(value, others[name])]
    assert different == []
