"""Training stages before they load weights: what cannot fit is refused, and what is loaded once is loaded once."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig

from pipeline.errors import PipelineError
from pipeline.memory import fitting
from pipeline.models.compute import Compute
from pipeline.models.text_format import FILE, TextFormat, store_text_format
from pipeline.params.optimize import METHODS
from pipeline.params.schema import Params
from pipeline.scripts import dpo as scripts_dpo
from pipeline.scripts import ppo as scripts_ppo
from pipeline.scripts import sft as scripts_sft
from pipeline.training import roles
from pipeline.training.ppo_inputs import write_figures
from pipeline.training.reward_gate import GateFigures
from stages import train_dpo, train_hybrid, train_ppo, train_reward, train_sft
from tests.tiny_models import byte_level_tokenizer, changed

ROWS = [
    {
        "id": str(at), "prompt": "This film", "response": " was a joy", "ended": True,
        "chosen": " was a joy", "rejected": " is dull", "chosen_ended": True, "rejected_ended": True,
        "split": "train", "source": "given", "chosen_score": None, "rejected_score": None, "margin": None,
        "chosen_prompt_ids": [5, 6], "rejected_prompt_ids": [5, 6],
        "chosen_response_ids": [7, 8, 9], "rejected_response_ids": [10, 11],
        "ref_chosen_logps": -1.0, "ref_rejected_logps": -1.0,
    }
    for at in range(64)
]  # fmt: skip
GATE: GateFigures = {
    "model": "own",
    "accuracy": {"mean": 0.9, "low": 0.8, "high": 1.0},
    "longer_wins_accuracy": 0.5,
    "pairs": 100,
}
FILES = (
    "artifacts/data/texts/train.jsonl",
    "artifacts/data/texts/validation.jsonl",
    "artifacts/preferences/accepted/train.jsonl",
    "artifacts/preferences/accepted/validation.jsonl",
    "artifacts/inputs/dpo/pairs.jsonl",
    "artifacts/inputs/dpo/validation.jsonl",
    "artifacts/inputs/ppo/prompts.jsonl",
    "artifacts/inputs/hybrid/seed-0/prompts.jsonl",
)
MODELS = (
    "artifacts/models/policy",
    "artifacts/models/reward_backbone",
    "artifacts/sft",
    "artifacts/inputs/ppo/reward_model",
    "artifacts/inputs/hybrid/seed-0/policy",
    "artifacts/inputs/hybrid/seed-0/reward_model",
)
STAGES: dict[str, Callable[[Any], None]] = {
    "train_sft": train_sft.main,
    "train_reward": train_reward.main,
    "optimize.dpo": lambda stage: train_dpo.main(stage, "0"),
    "optimize.ppo": lambda stage: train_ppo.main(stage, "0"),
    "optimize.hybrid": lambda stage: train_hybrid.main(stage, "0"),
}


@pytest.fixture
def stage(tmp_path: Path, params: Params, compute: Compute) -> SimpleNamespace:
    """Inputs of every training stage; of its models, each of 135M weights that are trained in full, no weights."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    tokenizer = byte_level_tokenizer()
    config = LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49152, pad_token_id=tokenizer.pad_token_id, tie_word_embeddings=True,
    )  # fmt: skip
    for name in MODELS:
        config.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        store_text_format(tmp_path / name, TextFormat("transcript"))
    TextFormat("transcript").write(tmp_path / f"artifacts/data/{FILE}")
    for name in ("ppo", "hybrid/seed-0"):
        write_figures(tmp_path / "artifacts/inputs" / name, GATE, params.sampling)
    sections = {
        name: changed(section, finetuning=changed(section.finetuning, method="full"))
        for name, section in (
            ("sft", params.train_sft), ("reward", params.train_reward),
            ("dpo", params.optimize.dpo), ("ppo", params.optimize.ppo), ("hybrid", params.optimize.hybrid),
        )
    }  # fmt: skip
    optimize = params.optimize.model_copy(update={name: sections[name] for name in METHODS})
    full = {"train_sft": sections["sft"], "train_reward": sections["reward"], "optimize": optimize}
    return SimpleNamespace(
        params=params.model_copy(update=full),
        input=lambda name: tmp_path / name,
        output=lambda name: tmp_path / name,
        start_compute=lambda **_: compute,
        root=tmp_path,
        log_step=lambda *_: None,
        tracker=None,
        costs=SimpleNamespace(add_work=None),
        resume=None,
    )


@pytest.mark.parametrize("section", STAGES)
def test_a_training_that_cannot_fit_is_refused_before_weights_are_loaded(
    stage: SimpleNamespace, section: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "usable_memory", lambda _: 1 << 30)
    with pytest.raises(PipelineError, match=rf"there are 1\.0 GiB\. Set .*{section}\.finetuning\.method: lora"):
        STAGES[section](stage)


class Reached(Exception):
    """Training would begin."""


def reach(*args: Any, **kwargs: Any) -> None:
    raise Reached


@pytest.mark.parametrize("section", STAGES)
def test_a_training_loads_one_tokenizer(stage: SimpleNamespace, section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Path] = []
    load = AutoTokenizer.from_pretrained

    def counted(folder: Path, *args: Any, **kwargs: Any) -> Any:
        loaded.append(folder)
        return load(folder, *args, **kwargs)

    monkeypatch.setattr(fitting, "usable_memory", lambda _: 1 << 50)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", counted)
    monkeypatch.setattr(AutoModelForSequenceClassification, "from_pretrained", reach)
    for module in (scripts_sft, scripts_dpo, roles):
        monkeypatch.setattr(module, "load_policy", lambda *_, **__: SimpleNamespace(has_adapters=False))
    for module in (scripts_dpo, roles):
        monkeypatch.setattr(module, "load_reference", lambda *_, **__: None)
    monkeypatch.setattr(roles, "load_reward_model", lambda *_, **options: None)
    trainers = (
        (train_sft, "train_sft"),
        (train_dpo, "train_dpo"),
        (scripts_ppo, "train_ppo"),
    )
    for module, name in trainers:
        monkeypatch.setattr(module, name, reach)
    with pytest.raises(Reached):
        STAGES[section](stage)
    assert len(loaded) == 1, loaded
