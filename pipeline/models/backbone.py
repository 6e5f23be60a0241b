"""What all networks here have in common: number format, positions, vocabulary head, and no dropout."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


def cast_weights(network: nn.Module, dtype: torch.dtype) -> None:
    """Weights to a number format; tables such as the frequencies of rotary positions stay as exact as they were."""
    for parameter in network.parameters():
        if parameter.is_floating_point():  # weights in 4 bits are stored as integer codes, which stay as they are
            parameter.data = parameter.data.to(dtype)


def switch_dropout_off(network: nn.Module) -> None:
    """Switch dropout off, which would make the ratio of a policy to itself differ from 1 (Huang et al. 2024, detail 6).

    It is a module, or a number that attention hands to a function, or the probability to skip a layer (`layerdrop`).
    """
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def position_ids(attention_mask: Tensor) -> Tensor:
    """Positions that count real tokens only, so that left padding shifts nothing; 0 on padding."""
    return (attention_mask.long().cumsum(1) - 1).clamp(min=0)


def project_logits(causal_lm: PreTrainedModel, states: Tensor) -> Tensor:
    """Vocabulary head on chosen states (N, H) -> (N, V), with what some families apply after it.

    Gemma caps (`final_logit_softcapping`), Cohere multiplies (`logit_scale`), Granite divides (`logits_scaling`).
    """
    logits = causal_lm.get_output_embeddings()(states) * logit_scale(causal_lm)
    if cap := logit_cap(causal_lm):
        logits = cap * torch.tanh(logits / cap)
    return logits


def logit_scale(causal_lm: PreTrainedModel) -> float:
    """Factor by which the family multiplies the results of its vocabulary head."""
    config = causal_lm.config.get_text_config()
    return float(getattr(config, "logit_scale", None) or 1) / float(getattr(config, "logits_scaling", None) or 1)


def logit_cap(causal_lm: PreTrainedModel) -> float | None:
    """Limit of the family's soft cap on logits; None where it has none."""
    cap = getattr(causal_lm.config.get_text_config(), "final_logit_softcapping", None)
    return float(cap) if cap else None


def plain_head(causal_lm: PreTrainedModel) -> Tensor | None:
    """The weight (V, H) of a vocabulary head that is one matrix and a factor; None for any other."""
    head = causal_lm.get_output_embeddings()
    if type(head) is not nn.Linear or head.bias is not None or logit_cap(causal_lm) is not None:
        return None
    return head.weight
