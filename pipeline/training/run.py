"""What every trainer is told of the run that it is part of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from pipeline import group
from pipeline.models.compute import Compute
from pipeline.resume import Resume


def _ignore(*_: Any) -> None:
    pass


class RolloutSample(TypedDict):
    """A response that PPO has learned from."""

    iteration: int
    prompt: str
    response: str
    score: float
    """Of the reward model."""


@dataclass(frozen=True)
class TrainingRun:
    """Where a trainer computes, from which seed, whom it reports to, and where it goes on after a kill.

    Of the processes that train together the first reports.
    """

    compute: Compute
    seed: int
    on_step: Callable[[int, dict[str, float]], None] = _ignore
    """Called with the step (1-based; of PPO the iteration) and its metrics."""
    on_tokens: Callable[[int, float], None] = _ignore
    """Called with the tokens of a step, prompts and responses without padding, and its seconds."""
    on_checkpoint: Callable[[int], None] = _ignore
    """Called with the step after every `save_steps` steps but the last, by trainers that keep checkpoints."""
    on_samples: Callable[[Sequence[RolloutSample]], None] = _ignore
    """Called by PPO with samples of the policy: those of all rollouts so far that are shown."""
    resume: Resume | None = None
    """Where an earlier execution may have left its state, and this one leaves its own; None keeps none."""

    def __post_init__(self) -> None:
        if not group.is_first():
            for name in ("on_step", "on_tokens", "on_checkpoint", "on_samples"):
                object.__setattr__(self, name, _ignore)
