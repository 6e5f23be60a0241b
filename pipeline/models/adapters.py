"""LoRA adapters, through PEFT. It is imported only where adapters are used, because the import takes two seconds."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

from pipeline.errors import PipelineError
from pipeline.kernels.fused_adapters import fuse
from pipeline.params.base import Finetuning
from pipeline.seeding import seeded_globals

if TYPE_CHECKING:
    from peft import PeftModel


def has_adapters(network: nn.Module) -> bool:
    """Whether PEFT has put adapters on a network."""
    return "peft" in sys.modules and isinstance(network, sys.modules["peft"].PeftModel)


def add_adapters(
    network: Any, finetuning: Finetuning, *, task: str | None, seed: int, name: str, fused: bool = True
) -> "PeftModel":
    """LoRA adapters (Hu et al. 2021, arXiv:2106.09685) on a frozen network.

    Args:
        network: changed in place.
        finetuning: rank, scale and the layers that get adapters.
        task: PEFT's name of what the network does.
        seed: root seed of their initial values.
        name: names their random generator.
        fused: compute a layer and its adapter in one step, see `pipeline.kernels.fused_adapters`.
    """
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    config = LoraConfig(
        task_type=task,
        r=finetuning.lora_r,
        lora_alpha=finetuning.lora_alpha,
        lora_dropout=0.0,
        target_modules=finetuning.lora_target_modules,
    )
    with seeded_globals(seed, name), old_names_allowed():
        adapted = get_peft_model(network, config)
    _refuse_tied_weights(adapted)
    for module in adapted.modules():
        if isinstance(module, BaseTunerLayer):
            # autocast picks the number format; PEFT would first copy every input to the adapters' fp32
            module.cast_input_dtype_enabled = False  # type: ignore[assignment]
            if fused:
                fuse(module)
    return adapted


def _refuse_tied_weights(adapted: Any) -> None:
    """Refuse an adapter on one of two layers that share their weight: merged, it would change both."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    places: dict[int, list[str]] = {}
    for name, parameter in adapted.named_parameters(remove_duplicate=False):
        places.setdefault(id(parameter), []).append(name)
    layers = [name for name, module in adapted.named_modules() if isinstance(module, BaseTunerLayer)]
    for names in places.values():
        found = next((layer for layer in layers for name in names if name.startswith(f"{layer}.base_layer")), None)
        if len(names) > 1 and found is not None:
            layer = found.rpartition(".")[2]
            raise PipelineError(
                f"finetuning.lora_target_modules has {layer}, whose weight this model shares with another layer (tied "
                f"embeddings): an adapter cannot be merged into one of them. Leave {layer} out, or train in full."
            )


@contextmanager
def old_names_allowed() -> Iterator[None]:
    """For PEFT, which reads a property of models by a name that transformers has dropped."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield
