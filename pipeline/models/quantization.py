"""Frozen weights in 4 bits below adapters: `finetuning.quantization`."""

import torch
from transformers import PreTrainedModel

from pipeline.kernels.quantized import quantize_linears
from pipeline.packages import check_bitsandbytes
from pipeline.params.base import Quantization


def quantizes(quantization: Quantization) -> bool:
    """Whether the frozen weights are to be kept in 4 bits; to be asked before they are loaded.

    Raises:
        PipelineError: they are to be, but bitsandbytes is not installed.
    """
    if quantization == "none":
        return False
    check_bitsandbytes("finetuning.quantization", quantization, otherwise="none")
    return True


def quantize(network: PreTrainedModel, device: torch.device) -> None:
    """Every linear layer but the vocabulary head in 4 bits, computed on `device`; see `quantize_linears`."""
    quantize_linears(network, device, keep=network.get_output_embeddings())
