"""A policy's adapters as one: what it differs by from the whole model that it lies on in the end.

A policy may be adapters on adapters, such as DPO's on SFT's. The sum of their products is one product of matrices that
stand side by side, so one adapter of the summed rank is exactly all of them: B1 A1 + B2 A2 = [B1 B2] [A1; A2].
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import pad

from pipeline.errors import PipelineError
from pipeline.models.folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS, base_folder, has_adapters_alone
from pipeline.models.policy import Policy

_PREFIX = "base_model.model."
"""Before the name of a layer, in PEFT's files."""


class LowRank(NamedTuple):
    """B A, which is added to the weight of a linear layer: fp32, on the CPU, the scale in B."""

    a: Tensor  # (r, in)
    b: Tensor  # (out, r)


@dataclass(frozen=True)
class Adapter:
    """What is added to which linear layers of a whole model, by their names in it."""

    layers: Mapping[str, LowRank]

    @property
    def rank(self) -> int:
        """The largest of all layers."""
        return max(len(one.a) for one in self.layers.values())

    def name(self) -> str:
        """By the numbers, so that no two adapters have one name."""
        digest = hashlib.sha256()
        for layer, (a, b) in sorted(self.layers.items()):
            digest.update(f"{layer} {tuple(a.shape)} {tuple(b.shape)}\n".encode())
            digest.update(a.contiguous().numpy().data)
            digest.update(b.contiguous().numpy().data)
        return f"policy-{digest.hexdigest()[:20]}"

    def write(self, folder: Path) -> Path:
        """As PEFT stores adapters, whole or not at all, in a folder of their name inside `folder`.

        Raises:
            PipelineError: nothing can be written there.
        """
        place = folder / self.name()
        if place.is_dir():
            return place
        draft = folder / f".{place.name}.{os.getpid()}"
        try:
            draft.mkdir(parents=True, exist_ok=True)
            self._write(draft)
            draft.rename(place)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            if not place.is_dir():  # which another process may have written meanwhile
                raise PipelineError(f"engine.adapters: {folder}: adapters cannot be written: {error}") from error
        return place

    def _write(self, folder: Path) -> None:
        rank = self.rank
        tensors = {}
        for layer, (a, b) in self.layers.items():
            # zeros up to one rank: servers read it once for all layers
            more = rank - len(a)
            tensors[f"{_PREFIX}{layer}.lora_A.weight"] = pad(a, (0, 0, 0, more)).contiguous()
            tensors[f"{_PREFIX}{layer}.lora_B.weight"] = pad(b, (0, more)).contiguous()
        save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        config = {
            "base_model_name_or_path": None,
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "lora_alpha": rank,  # a scale of 1
            "lora_dropout": 0.0,
            "modules_to_save": None,
            "peft_type": "LORA",
            "r": rank,
            "target_modules": sorted({layer.rpartition(".")[2] for layer in self.layers}),
            "task_type": "CAUSAL_LM",
            "use_dora": False,
            "use_rslora": False,
        }
        (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def stored_adapters(policy: Policy) -> list[Adapter]:
    """Those in the folder that a policy was loaded from, and what they lie on: the lowest first."""
    found: list[Path] = []
    folder = policy.folder
    while folder is not None and has_adapters_alone(folder):
        found.insert(0, folder)
        folder = base_folder(folder)
    return [_stored(one) for one in found]


def adapter_of(policy: Policy, stored: Sequence[Adapter] | None = None) -> Adapter | None:
    """All that lies on the whole model below a policy: stored adapters, and those that are trained now.

    Args:
        policy: as `load_policy` returned it, or trained since.
        stored: `stored_adapters`, where they were read before.

    Returns:
        None for a policy that is that whole model.

    Raises:
        PipelineError: it is trained in full, or an adapter is on another layer than a linear one below the head.
    """
    if not policy.has_adapters and any(one.requires_grad for one in policy.causal_lm.parameters()):
        raise PipelineError(
            "sampling.engine: this policy is trained in full, and a server is handed adapters alone. Set "
            "finetuning.method of its section to lora, or sampling.engine to own."
        )
    found = list(stored_adapters(policy) if stored is None else stored)
    if policy.has_adapters:
        found.append(_trained(policy))
    return _stacked(found) if found else None


def _stored(folder: Path) -> Adapter:
    scale = _scale(json.loads((folder / ADAPTER_CONFIG).read_text()))
    layers = {}
    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as stored:
        names = list(stored.keys())
        for name in names:
            layer, _, side = name.removeprefix(_PREFIX).partition(".lora_")
            _check_layer(layer, linear=side in ("A.weight", "B.weight"), where=str(folder))
            layers[layer] = name.partition(".lora_")[0]
        return Adapter(
            {
                layer: LowRank(
                    stored.get_tensor(f"{name}.lora_A.weight").float(),
                    stored.get_tensor(f"{name}.lora_B.weight").float() * scale,
                )
                for layer, name in layers.items()
            }
        )


def _scale(config: Mapping[str, Any]) -> float:
    return float(config["lora_alpha"] / config["r"])


@torch.no_grad()
def _trained(policy: Policy) -> Adapter:
    from peft.tuners.lora import Linear
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = {}
    for name, module in policy.causal_lm.named_modules():
        if isinstance(module, BaseTunerLayer):
            _check_layer(name, linear=isinstance(module, Linear), where="the policy")
            layer: Any = module
            active = layer.active_adapters[0]
            a, b = (side[active].weight.detach().float().cpu() for side in (layer.lora_A, layer.lora_B))
            layers[name] = LowRank(a, b * layer.scaling[active])
    return Adapter(layers)


def _check_layer(layer: str, *, linear: bool, where: str) -> None:
    last = layer.rpartition(".")[2]
    if not linear or last in ("lm_head", "embed_out"):
        raise PipelineError(
            f"sampling.engine: {where} has an adapter on {layer}, and vLLM takes them on linear layers below the head. "
            f"Leave {last} out of finetuning.lora_target_modules, or set sampling.engine to own."
        )


def _stacked(adapters: Sequence[Adapter]) -> Adapter:
    layers: dict[str, list[LowRank]] = {}
    for adapter in adapters:
        for name, one in adapter.layers.items():
            layers.setdefault(name, []).append(one)
    return Adapter(
        {
            name: LowRank(torch.cat([one.a for one in parts]), torch.cat([one.b for one in parts], dim=1))
            for name, parts in layers.items()
        }
    )
