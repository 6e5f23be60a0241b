"""Policies to disk: whole models that `AutoModelForCausalLM` loads, and light checkpoints on the way."""

import copy
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.models.adapters import merge_adapters
from pipeline.models.policy import Policy
from pipeline.models.text_format import TextFormat, store_text_format

ADAPTERS = "adapters"
"""Folder beside a policy's merged weights, with the adapters that are in them."""
BASE = "base.json"


def save_model(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, with_code: bool = True
) -> None:
    """Weights, config and tokenizer of a model, without anything that depends on where or when it was written.

    Args:
        with_code: keep the Python code of the model, if it has any, which `brings_code` then reports; what is fetched
            without trust is stored without.
    """
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config_file = folder / "config.json"
    config = json.loads(config_file.read_text())
    config.pop("_name_or_path", None)
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    if not with_code:
        for file in (config_file, folder / "tokenizer_config.json"):
            values = json.loads(file.read_text())
            if values.pop("auto_map", None) is not None:
                file.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def save_policy(
    policy: Policy, tokenizer: PreTrainedTokenizerBase, folder: Path, *, dtype: torch.dtype, texts: TextFormat
) -> None:
    """The trained policy as one whole model in `dtype`; adapters are merged in. The policy is used up.

    Args:
        texts: how the texts were written that it was trained on.
    """
    network: Any = merge_adapters(policy.language_model) if policy.has_adapters else policy.causal_lm
    save_model(network.to(dtype), tokenizer, folder)
    store_text_format(folder, texts)


def save_checkpoint(policy: Policy, folder: Path, *, dtype: torch.dtype) -> None:
    """A checkpoint on the way: the adapters alone, or the whole model when it is trained in full."""
    shutil.rmtree(folder, ignore_errors=True)  # a killed process may have left half of it
    if not policy.has_adapters:
        whole: Any = copy.deepcopy(policy.causal_lm)
        whole.to(dtype).save_pretrained(folder)
        return
    adapted: Any = policy.language_model
    adapted.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    # PEFT writes a set in the order of the hash seed, and the path of the base model
    config_file = folder / "adapter_config.json"
    config = json.loads(config_file.read_text())
    config["target_modules"] = sorted(config["target_modules"])
    config["base_model_name_or_path"] = None
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def save_adapters(policy: Policy, folder: Path, base: Path) -> None:
    """The adapters of a policy as a folder that PEFT loads, with the hash of what they lie on; none without adapters.

    Args:
        base: the folder that the policy was started from.
    """
    if policy.has_adapters:
        save_checkpoint(policy, folder, dtype=torch.float32)
        _name_base(folder, base)


def keep_adapters(checkpoint: Path, folder: Path, base: Path) -> None:
    """Those of a checkpoint on the way, beside the policy that was made from it."""
    if (checkpoint / "adapter_config.json").is_file():
        shutil.copytree(checkpoint, folder)
        _name_base(folder, base)


def read_base(adapters: Path) -> str:
    """`weights_hash` of what adapters lie on."""
    return str(json.loads((adapters / BASE).read_text())["sha256"])


def weights_hash(folder: Path) -> str:
    """sha256 of a model's weights; of several files, that of their hashes in the order of their names."""
    digests = []
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _name_base(folder: Path, base: Path) -> None:
    (folder / BASE).write_text(json.dumps({"sha256": weights_hash(base)}, indent=2) + "\n")
