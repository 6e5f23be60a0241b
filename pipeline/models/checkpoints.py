"""Saves policies: as adapters that name their base model, or as whole models, with checkpoints during training."""

import copy
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.models.folders import (
    ADAPTER_CONFIG,
    Base,
    config_of,
    has_adapters_alone,
    link_files,
    link_or_copy,
    stored_dtype,
    whole_model,
)
from pipeline.models.footprint import NetworkSize
from pipeline.models.policy import Policy, load_tokenizer, read_network
from pipeline.models.text_format import FILE as TEXT_FORMAT
from pipeline.models.text_format import TextFormat, read_text_format, store_text_format
from pipeline.params.base import Finetuning


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
    policy: Policy, tokenizer: PreTrainedTokenizerBase, folder: Path, *, start: Path, root: Path, texts: TextFormat
) -> None:
    """The trained policy, its tokenizer, and how the texts were written that it was trained on.

    Adapters are handed on as adapters, which name what they lie on; a model that was trained in full is written whole,
    in the number format of the one that it was started from.

    Args:
        policy: used up.
        start: the model folder that it was started from.
        root: of the project, from which adapters name `start`.
    """
    if policy.has_adapters:
        _save_adapters(policy, folder, Base.of(start, root))
        tokenizer.save_pretrained(folder)
    else:
        save_model(policy.causal_lm.to(stored_dtype(start)), tokenizer, folder)
    store_text_format(folder, texts)


def keep_start(start: Path, folder: Path, texts: TextFormat) -> None:
    """The model that a run begins with as a policy of its own; its files get a second name, not a copy."""
    link_files(start, folder)
    store_text_format(folder, texts)


def save_checkpoint(policy: Policy, folder: Path, *, start: Path, root: Path) -> None:
    """A checkpoint during training: weights as `save_policy` writes them, without a tokenizer; the policy stays."""
    shutil.rmtree(folder, ignore_errors=True)  # a killed process may have left half of it
    if policy.has_adapters:
        _save_adapters(policy, folder, Base.of(start, root))
        return
    whole: Any = _converted_copy(policy.causal_lm, stored_dtype(start))
    whole.save_pretrained(folder)


def _converted_copy(network: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The network in the CPU's memory, in a number format: nothing is copied in the format or on the device it has."""

    def converted(tensor: Tensor) -> Tensor:
        values = tensor.detach().to("cpu", dtype if tensor.is_floating_point() else tensor.dtype)
        return nn.Parameter(values, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else values

    # what copying takes in place of a tensor, by its id; one that is shared stays shared
    instead: dict[int, Any] = {id(one): converted(one) for one in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, instead)


def keep_checkpoint(checkpoint: Path, last: Path, folder: Path) -> None:
    """A checkpoint as a policy of its own, with tokenizer and text format; weights get a second name, not a copy.

    Args:
        checkpoint: one on the way, or a policy that is complete, such as `last`.
        last: the policy at the end of training.
        folder: new.
    """
    complete = (checkpoint / TEXT_FORMAT).is_file()
    files = {} if complete else {file.name: file for file in last.iterdir() if file.is_file()}
    files |= {file.name: file for file in checkpoint.iterdir() if file.is_file()}
    folder.mkdir(parents=True)
    for name, file in sorted(files.items()):
        link_or_copy(file, folder / name)


@dataclass(frozen=True)
class PolicyFolder:
    """Where a policy that is trained is written: checkpoints on the way, and what training ends with."""

    folder: Path
    start: Path
    """The model folder that it was started from."""
    root: Path
    """Of the project, from which adapters name `start`."""

    def size(self, finetuning: Finetuning, *, checkpoints: int) -> int:
        """Bytes on the disk, with so many checkpoints on the way."""
        return (1 + checkpoints) * checkpoint_bytes(self.start, finetuning)

    def save_step(self, policy: Policy, step: int) -> None:
        """A checkpoint on the way, see `save_checkpoint`."""
        save_checkpoint(policy, self._step_folder(step), start=self.start, root=self.root)

    def save(self, policy: Policy, tokenizer: PreTrainedTokenizerBase, *, step: int | None = None) -> None:
        """The trained policy, see `save_policy`; it was trained on texts as the one that it was started from.

        Args:
            step: whose weights it has, where training went on beyond it: checkpoints from there on are removed.
        """
        if step is not None:
            for folder in self.folder.glob("checkpoints/step-*"):
                if folder >= self._step_folder(step):
                    shutil.rmtree(folder)
        texts = read_text_format(self.start / TEXT_FORMAT)
        save_policy(policy, tokenizer, self.folder, start=self.start, root=self.root, texts=texts)

    def _step_folder(self, step: int) -> Path:
        return self.folder / f"checkpoints/step-{step:05d}"


def checkpoint_bytes(start: Path, finetuning: Finetuning | None) -> int:
    """What a checkpoint of a policy that is started from a model folder takes on the disk: adapters in fp32, or all.

    Args:
        finetuning: None where nothing is trained, which is stored whole.
    """
    if finetuning is not None and finetuning.method == "lora":
        return 4 * NetworkSize.of(config_of(start)).adapter_weights(finetuning.lora_r)
    return sum(file.stat().st_size for file in whole_model(start).glob("*.safetensors"))


def save_whole(policy: Path, folder: Path) -> None:
    """A stored policy as one whole model that `AutoModelForCausalLM` loads, in the number format of its base.

    Adapters are merged in; of whole weights the files get a second name.
    """
    if not has_adapters_alone(policy):
        link_files(policy, folder)
        return
    network = read_network(policy, stored_dtype(policy))
    save_model(network, load_tokenizer(policy), folder)
    link_or_copy(policy / TEXT_FORMAT, folder / TEXT_FORMAT)


def _save_adapters(policy: Policy, folder: Path, base: Base) -> None:
    adapted: Any = policy.language_model
    adapted.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    # PEFT writes a set in the order of the hash seed, and a path of this machine
    config_file = folder / ADAPTER_CONFIG
    config = json.loads(config_file.read_text())
    config["target_modules"] = sorted(config["target_modules"])
    config["base_model_name_or_path"] = base.folder
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    base.write(folder)
