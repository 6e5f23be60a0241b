"""The folder that PPO reads: what one stage writes, the next one finds, whole or with other prompts."""

from pathlib import Path

import pytest

from pipeline.data.records import write_records
from pipeline.errors import PipelineError
from pipeline.params.schema import Params
from pipeline.training.ppo_inputs import PROMPTS, REWARD_MODEL, PpoInputs, hand_on, write_figures
from pipeline.training.reward_gate import GateFigures
from tests.tiny_models import changed

GATE: GateFigures = {
    "model": "own",
    "accuracy": {"mean": 0.7, "low": 0.6, "high": 0.8},
    "longer_wins_accuracy": 0.75,
    "pairs": 100,
}


@pytest.fixture
def folder(tmp_path: Path, params: Params) -> Path:
    made = tmp_path / "ppo"
    (made / REWARD_MODEL).mkdir(parents=True)
    (made / REWARD_MODEL / "config.json").write_text("{}")
    write_records(made / PROMPTS, [{"id": "1", "prompt": "This film"}, {"id": "2", "prompt": "The plot"}])
    write_figures(made, GATE, params.sampling)
    return made


def test_what_is_written_is_read(folder: Path, params: Params) -> None:
    read = PpoInputs.read(folder)
    assert read.prompts == ["This film", "The plot"]
    assert (read.gate, read.sampling, read.reward_model) == (GATE, params.sampling, folder / REWARD_MODEL)


def test_other_prompts_with_the_rest_as_it_was(folder: Path) -> None:
    other = folder.with_name("hybrid")
    hand_on(folder, other, [{"id": "2", "prompt": "The plot"}])
    first, second = PpoInputs.read(folder), PpoInputs.read(other)
    assert second.prompts == ["The plot"] and (second.gate, second.sampling) == (first.gate, first.sampling)
    file = second.reward_model / "config.json"
    assert file.samefile(first.reward_model / "config.json"), "a second name, not a copy"


def test_the_gate_has_the_limits_of_the_settings(folder: Path, params: Params) -> None:
    inputs = PpoInputs.read(folder)
    lenient = changed(params.optimize.ppo, min_reward_accuracy=0.65, require_above_longer_wins=False)
    (warning,) = inputs.check_gate(lenient)
    assert "no better than that rule" in warning
    for strict in ({"min_reward_accuracy": 0.72}, {"require_above_longer_wins": True}):
        with pytest.raises(PipelineError, match=next(iter(strict))):
            inputs.check_gate(changed(lenient, **strict))
