"""AdamW, in fp32 or with its moments in 8 bits."""

from typing import Any

import torch

from pipeline.packages import check_bitsandbytes
from pipeline.params.base import OptimizerName


def make_optimizer(
    parameters: Any, name: OptimizerName, *, lr: float = 1e-3, eps: float = 1e-8, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).

    Args:
        parameters: a list of them, or of groups with learning rates of their own.
        name: `adamw` keeps both moments of each weight in fp32. `adamw_8bit` keeps those of weights of 4,096 numbers
            and more in 8 bits (Dettmers et al. 2022, arXiv:2110.02861); `paged_adamw_8bit` moves them to the memory of
            the machine, too, where a GPU runs full.
        lr: learning rate of groups that have none.
        eps: Adam epsilon.
        weight_decay: of every group.

    Raises:
        PipelineError: an optimiser in 8 bits needs bitsandbytes, which is not installed.
    """
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, eps=eps, weight_decay=weight_decay, fused=True)
    check_optimizer(name)
    from bitsandbytes import optim

    made: torch.optim.Optimizer = {"adamw_8bit": optim.AdamW8bit, "paged_adamw_8bit": optim.PagedAdamW8bit}[name](
        parameters, lr=lr, eps=eps, weight_decay=weight_decay
    )
    return made


def check_optimizer(name: OptimizerName) -> None:
    """Raises PipelineError where the optimiser needs bitsandbytes, and it is not installed."""
    if name != "adamw":
        check_bitsandbytes("optimizer", name, otherwise="adamw")
