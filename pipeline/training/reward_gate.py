"""The gate before PPO: a policy trained against a bad reward model learns its errors."""

from typing import TypedDict

from pipeline.errors import PipelineError


class Proportion(TypedDict):
    """A share with its 95 % interval."""

    mean: float
    low: float
    high: float


class GateFigures(TypedDict):
    """What evaluate_reward measured of the model that PPO is to optimise."""

    model: str
    """own, or the name of a candidate."""
    accuracy: Proportion
    longer_wins_accuracy: float
    pairs: int


def check_reward_gate(figures: GateFigures, *, min_accuracy: float, require_above_longer_wins: bool) -> list[str]:
    """Check that the reward model is accurate enough for PPO to optimise its score.

    Args:
        min_accuracy: smallest share of test pairs that it must be right on.
        require_above_longer_wins: refuse, and not only warn, when "the longer response is better", or the shorter one,
            is right as often.

    Returns:
        Warnings.

    Raises:
        PipelineError: it is right on too few test pairs, or no more often than the length alone.
    """
    accuracy, longer = figures["accuracy"]["mean"], figures["longer_wins_accuracy"]
    if accuracy < min_accuracy:
        reason = f"That is below the gate optimize.ppo.min_reward_accuracy {min_accuracy:g}."
        if figures["accuracy"]["high"] >= min_accuracy:
            reason += " The interval reaches the gate: more test pairs (data.limits.test) would decide."
        raise PipelineError(f"{_seen(figures)} {reason} {_advice(figures)}, or lower the gate.")
    if accuracy > max(longer, 1 - longer):
        return []
    problem = f"{_seen(figures)} It is no better than that rule, so PPO may learn nothing but length."
    if require_above_longer_wins:
        raise PipelineError(
            f"{problem} {_advice(figures)}, balance the lengths of the pairs, or set "
            "optimize.ppo.require_above_longer_wins to false to be warned only."
        )
    return [f"{problem} {_advice(figures)}, or balance the lengths of the pairs."]


def _seen(figures: GateFigures) -> str:
    accuracy = figures["accuracy"]
    longer = figures["longer_wins_accuracy"]
    return (
        f"{_name(figures)} is right on {accuracy['mean']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}] of "
        f'{figures["pairs"]} test pairs; "the {"longer" if longer >= 0.5 else "shorter"} response is better" would be '
        f"right on {max(longer, 1 - longer):.3f}."
    )


def _name(figures: GateFigures) -> str:
    if figures["model"] == "own":
        return "the reward model of train_reward"
    return f"the reward model {figures['model']!r} of evaluate_reward.candidates"


def _advice(figures: GateFigures) -> str:
    if figures["model"] == "own":
        return (
            "Collect more pairs, train it longer (train_reward), or compare finished ones (evaluate_reward.candidates)"
        )
    return "Name another candidate, or use the own one (evaluate_reward.use)"
