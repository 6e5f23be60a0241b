"""Adapters are made without a word, refused where they could not be merged, and cost nothing where there are none."""

import ast
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from pipeline.errors import PipelineError
from pipeline.models.checkpoints import save_model
from pipeline.models.compute import Compute
from pipeline.models.policy import load_policy
from pipeline.project.closure import code_closure
from tests.conftest import ROOT, PolicyMaker
from tests.tiny_models import LORA, byte_level_tokenizer, changed


def test_making_adapters_warns_of_nothing(make_policy: PolicyMaker) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        make_policy(LORA)


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_adapters_on_a_weight_that_two_layers_share_are_refused(compute: Compute, tmp_path: Path, target: str) -> None:
    """Merged, they would be in the other layer, too: another policy than the one that was trained."""
    config = LlamaConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        tie_word_embeddings=True,
    )  # fmt: skip
    save_model(LlamaForCausalLM(config), byte_level_tokenizer(), tmp_path)
    finetuning = changed(LORA, lora_target_modules=["q_proj", target])
    with pytest.raises(PipelineError, match=f"has {target}, whose weight this model shares"):
        load_policy(tmp_path, compute, finetuning=finetuning)
    assert load_policy(tmp_path, compute, finetuning=LORA).has_adapters


def imported_at_once(path: Path) -> set[str]:
    """Packages that a module of this project imports with it, not only where a function is called or types are."""
    nodes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.partition(".")[0] for name in names | {getattr(node, "module", None) or "" for node in nodes}}


def test_no_module_on_the_way_to_a_policy_imports_peft_at_once() -> None:
    for name in ("pipeline/evaluation/policy.py", "pipeline/models/scoring.py"):
        needed = code_closure(ROOT / name, ROOT)
        assert "pipeline/models/policy.py" in needed
        assert [path for path in needed if "peft" in imported_at_once(ROOT / path)] == []


@pytest.mark.slow(beside="test_no_module_on_the_way_to_a_policy_imports_peft_at_once")
def test_whoever_needs_no_adapters_does_not_wait_for_peft() -> None:
    check = "import sys, pipeline.evaluation.policy, pipeline.models.scoring; sys.exit('peft' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0
