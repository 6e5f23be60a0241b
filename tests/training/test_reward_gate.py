"""The gate before PPO: who passes, and what is said to who does not."""

from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.training.reward_gate import GateFigures, check_reward_gate


def figures(mean: float, *, longer: float = 0.5, high: float | None = None, model: str = "own") -> GateFigures:
    accuracy: Any = {"mean": mean, "low": mean - 0.05, "high": mean + 0.05 if high is None else high}
    return {"model": model, "accuracy": accuracy, "longer_wins_accuracy": longer, "pairs": 128}


def refusal(known: GateFigures, *, strict: bool = False) -> str:
    with pytest.raises(PipelineError) as error:
        check_reward_gate(known, min_accuracy=0.65, require_above_longer_wins=strict)
    return str(error.value)


def test_a_good_model_passes_without_a_word() -> None:
    for strict in (False, True):
        assert check_reward_gate(figures(0.65), min_accuracy=0.65, require_above_longer_wins=strict) == []


def test_the_refusal_says_everything() -> None:
    message = refusal(figures(0.6, longer=0.54, high=0.68))
    parts = (
        "reward model of train_reward", "0.600 [0.550, 0.680] of 128 test pairs", "0.540",
        "optimize.ppo.min_reward_accuracy 0.65", "interval reaches the gate", "Collect more pairs",
    )  # fmt: skip
    for part in parts:
        assert part in message
    assert "interval reaches" not in refusal(figures(0.5, high=0.55))


def test_the_refusal_of_a_candidate_names_it_and_its_keys() -> None:
    message = refusal(figures(0.5, model="bought"))
    assert "'bought' of evaluate_reward.candidates" in message and "evaluate_reward.use" in message
    assert "train_reward" not in message


@pytest.mark.parametrize("longer", [0.7, 0.8])
def test_a_model_no_better_than_length_is_warned_of_or_refused(longer: float) -> None:
    (warning,) = check_reward_gate(figures(0.7, longer=longer), min_accuracy=0.65, require_above_longer_wins=False)
    assert "no better than that rule" in warning
    assert "optimize.ppo.require_above_longer_wins to false" in refusal(figures(0.7, longer=longer), strict=True)


def test_the_shorter_response_is_a_rule_too() -> None:
    """Longer wins in a quarter of the pairs: who always takes the shorter is right on three quarters."""
    (warning,) = check_reward_gate(figures(0.7, longer=0.25), min_accuracy=0.65, require_above_longer_wins=False)
    assert '"the shorter response is better" would be right on 0.750' in warning
    assert check_reward_gate(figures(0.8, longer=0.25), min_accuracy=0.65, require_above_longer_wins=True) == []
