"""What PPO adapts from one rollout to the next: the KL coefficient, and the scale of the scores."""

import math
from dataclasses import dataclass

from torch import Tensor

from pipeline.params.optimize import Ppo

_LARGEST_ERROR = 0.2


@dataclass
class KlController:
    """The KL coefficient, fixed or proportional to the miss of a target (Ziegler et al. 2019, arXiv:1909.08593, 2.2).

    kl_coef <- kl_coef * (1 + clip(KL / target - 1, -0.2, 0.2) * episodes / horizon).
    """

    coefficient: float
    target: float | None
    """Nats per sequence; None keeps the coefficient."""
    horizon: int
    """Episodes."""

    @classmethod
    def of(cls, settings: Ppo) -> "KlController":
        target = settings.kl_target if settings.kl_controller == "adaptive" else None
        return cls(settings.kl_coef, target, settings.kl_horizon)

    def update(self, kl: float, *, episodes: int) -> None:
        """Move the coefficient by the KL (nats per sequence) that a rollout of `episodes` episodes had."""
        if self.target is None:
            return
        error = max(-_LARGEST_ERROR, min(_LARGEST_ERROR, kl / self.target - 1))
        self.coefficient *= 1 + error * episodes / self.horizon


@dataclass
class RunningMoments:
    """Mean and variance of all scores so far (Chan et al. 1983, parallel update), in float64."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared deviations from the mean."""

    def update(self, scores: Tensor) -> None:
        """Add the scores (B,) of a rollout."""
        values = scores.double()
        count, mean = len(values), values.mean().item()
        squares = (values - mean).square().sum().item()
        delta, total = mean - self.mean, self.count + count
        self.squares += squares + delta**2 * self.count * count / total
        self.mean += delta * count / total
        self.count = total

    def normalize(self, scores: Tensor) -> Tensor:
        """Scores (B,) in standard deviations from the running mean."""
        deviation = math.sqrt(self.squares / self.count) if self.count else 1.0
        return (scores - self.mean) / (deviation + 1e-8)
