"""What the card of the reward model says when a bought one is in use."""

from typing import Any

import pytest

from pipeline.release.card import reward_model_facts

COMPARISON: dict[str, Any] = {
    "preferences": {"accepted": 9, "raw": 10},
    "flags": [{"subject": "reward_model", "message": "badly calibrated"}, {"subject": "preferences", "message": "few"}],
}


def row(name: str, accuracy: float) -> dict[str, Any]:
    interval = {"mean": accuracy, "low": 0.0, "high": 1.0}
    return {"name": name, "accuracy": interval, "expected_calibration_error": accuracy / 10}


@pytest.mark.parametrize(("used", "flags"), [("own", ["badly calibrated"]), ("bought", [])])
def test_it_tells_of_the_own_model_and_flags_belong_to_the_one_in_use(used: str, flags: list[str]) -> None:
    metrics = {"model": used, "models": [row("own", 0.7), row("bought", 0.9)], "longer_wins_accuracy": 0.5}
    facts = reward_model_facts(COMPARISON, metrics)
    assert [metric.value for metric in facts.metrics] == [0.7, 0.5, pytest.approx(0.07)]
    assert facts.flags == flags
