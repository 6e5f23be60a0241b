"""The score head of a sequence classifier: where its family keeps it, in which number format, and with what bias."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from pipeline.models.folders import open_weights
from pipeline.models.heads import Fp32Linear


def is_decoder(network: PreTrainedModel) -> bool:
    """Whether transformers reads this classifier at its last token; encoders have another name for their head."""
    return hasattr(network, "score")


def score_head(network: PreTrainedModel) -> nn.Linear:
    """The layer that makes the scores."""
    holder, name = _place(network)
    head: nn.Linear = getattr(holder, name)
    return head


def compute_head_in_fp32(network: PreTrainedModel) -> None:
    """Give the head its place again as one that autocast leaves alone, with the same parameters."""
    setattr(*_place(network), Fp32Linear.of(score_head(network)))


def add_head_bias(network: PreTrainedModel) -> None:
    """transformers gives decoders a score head without bias; ours carries the normalisation in a bias, 0 at first."""
    head = score_head(network)
    if is_decoder(network) and head.bias is None:
        head.bias = nn.Parameter(torch.zeros_like(head.weight[:, 0]))


def restore_head(network: PreTrainedModel, folder: Path) -> None:
    """Put back the bias that our decoder checkpoints have and transformers leaves out.

    A head that is stored in fp32 stays so where its network was loaded in another number format.
    """
    add_head_bias(network)
    if not is_decoder(network):
        return
    head = score_head(network)
    for file in sorted(folder.glob("*.safetensors")):
        with open_weights(file) as weights:
            for name in {"score.weight", "score.bias"} & set(weights.keys()):
                parameter, stored = getattr(head, name.removeprefix("score.")), weights.get_tensor(name)
                if stored.dtype == torch.float32 != parameter.dtype:
                    parameter.data = stored.clone().to(parameter.device)
                else:
                    parameter.data.copy_(stored)


def _place(network: Any) -> tuple[nn.Module, str]:
    """The module that holds the head, and under which name."""
    name = "score" if is_decoder(network) else "classifier"
    head = getattr(network, name)
    # RoBERTa wraps its head in a module whose last layer makes the scores
    return (network, name) if isinstance(head, nn.Linear) else (head, "out_proj")
