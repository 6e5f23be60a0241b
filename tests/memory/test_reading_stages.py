"""Stages that sample or score, before they load weights: what cannot fit is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import save_file
from transformers import LlamaConfig

from pipeline.errors import PipelineError
from pipeline.evaluation import instruments
from pipeline.memory import fitting
from pipeline.models.compute import Compute
from pipeline.models.text_format import FILE, TextFormat, store_text_format
from pipeline.params.schema import Params
from stages import (
    collect_preferences,
    evaluate_policy,
    evaluate_reward,
    evaluate_sft,
    find_regressions,
    score_reference,
    select_checkpoint,
)
from tests.memory.test_training_stages import ROWS
from tests.tiny_models import byte_level_tokenizer, changed

FILES = [
    *(f"artifacts/data/prompts/{split}.jsonl" for split in ("train", "validation", "test", "evaluation")),
    "artifacts/data/texts/evaluation.jsonl",
    *(f"artifacts/preferences/accepted/{split}.jsonl" for split in ("train", "validation", "test")),
    "reports/policies/sft/samples.jsonl",
    "reports/training/dpo/seed-0.jsonl",
]
MODELS = (
    "artifacts/models/policy",
    "artifacts/sft",
    "artifacts/reward_model",
    "artifacts/inputs/ppo/reward_model",
    "artifacts/training/dpo/seed-0",
    "artifacts/policies/dpo/seed-0",
)
STAGES: dict[str, Callable[[Any], None]] = {
    "collect_preferences": collect_preferences.main,
    "score_reference": score_reference.main,
    "evaluate_reward": evaluate_reward.main,
    "evaluate_sft": evaluate_sft.main,
    "evaluate_policy": lambda stage: evaluate_policy.main(stage, "dpo", "0"),
    "select_checkpoint": lambda stage: select_checkpoint.main(stage, "dpo", "0"),
    "find_regressions": lambda stage: find_regressions.main(stage, "0"),
}


@pytest.fixture
def stage(tmp_path: Path, params: Params, compute: Compute, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Inputs of every such stage; of its models, each of 135M weights, a single number."""
    rows = [{**row, "category": "all", "step": 1} for row in ROWS]
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "reports/policies/sft/samples.jsonl").write_text("")
    tokenizer = byte_level_tokenizer()
    config = LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49152, pad_token_id=tokenizer.pad_token_id, tie_word_embeddings=True, max_position_embeddings=2048,
    )  # fmt: skip
    for name in MODELS:
        config.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        save_file({"weight": compute_number()}, tmp_path / name / "model.safetensors")
        store_text_format(tmp_path / name, TextFormat("transcript"))
    TextFormat("transcript").write(tmp_path / f"artifacts/data/{FILE}")
    monkeypatch.setattr(instruments, "load_second_judge", lambda *_, **__: None)
    optimize = params.optimize.model_copy(update={"methods": ["dpo", "hybrid"]})
    return SimpleNamespace(
        params=params.model_copy(update={"optimize": optimize}),
        input=lambda name: tmp_path / name,
        output=lambda name: tmp_path / "outputs" / name,
        start_compute=lambda **_: compute,
        root=tmp_path,
        judge_endpoint=None,
        verdict_store=None,
        resume=None,
    )


def compute_number() -> Any:
    """What stands for weights: their number format alone is read."""
    import torch

    return torch.zeros(1)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_cannot_fit_is_refused_before_weights_are_loaded(
    stage: SimpleNamespace, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "usable_memory", lambda _: 1 << 28)
    doing = "scoring" if name in ("score_reference", "evaluate_reward") else "sampling"
    with pytest.raises(PipelineError, match=rf"^{doing} needs about .* and there are 0\.2 GiB\. "):
        STAGES[name](stage)


def test_pairs_that_are_given_are_collected_without_a_word_of_memory(
    stage: SimpleNamespace, params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sampled, so nothing has to fit."""
    monkeypatch.setattr(fitting, "usable_memory", lambda _: 1 << 28)
    settings = changed(params.collect_preferences, source="labelled")
    stage.params = stage.params.model_copy(update={"collect_preferences": settings})
    (stage.root / "data/labels").mkdir(parents=True)
    with pytest.raises(PipelineError) as found:
        collect_preferences.main(stage)
    assert "needs about" not in str(found.value)
