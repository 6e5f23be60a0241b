"""What the section `runtime` means for memory, on this machine or on another one that is planned for."""

from dataclasses import dataclass

import torch
from torch.utils._triton import has_triton

from pipeline.data.tokens import ForwardLimit
from pipeline.models.compute import (
    choose_attention,
    choose_device,
    choose_dtype,
    forward_limit,
    frozen_limit,
    kept_activations,
)
from pipeline.models.machine import total_memory
from pipeline.params.schema import Runtime

LIBRARIES = 560 << 20
"""Bytes of Python with torch, transformers and peft (on a GPU: of its context and the workspace of its products)."""
_HOLES = {("cpu", 2): 1.4, ("cpu", 4): 1.1, ("cuda", 2): 1.1, ("cuda", 4): 1.1}
"""What activations take against what is alive of them, by device and bytes of a number: buffers inside products, and
what the allocator cannot use again. A CPU's heap keeps pieces of all sizes between what stays, more where numbers are
cast."""


@dataclass(frozen=True)
class Machine:
    """A machine that is planned for, other than this one."""

    device: str
    memory: int
    """Bytes of its GPU's memory, or of its own where it has no GPU."""


@dataclass(frozen=True)
class Conditions:
    """What of the section `runtime` and of a machine decides how much memory a stage takes."""

    device: torch.device
    number: int
    """Bytes of a number in matrix products, and of one in the weights below adapters."""
    attention: str
    limit: ForwardLimit | None
    kept: int | None
    """Bytes of activations that a forward pass may keep; None is no limit."""
    fused_logprobs: bool = True
    memory: int = 1 << 62
    """Bytes of the machine, or of its GPU, whatever else is in it."""
    frozen: ForwardLimit | None = None
    """As `limit`, where nothing is trained."""

    @property
    def holes(self) -> float:
        """By how much what is allocated and freed takes more than its bytes: the allocator leaves holes."""
        return _HOLES.get((self.device.type, self.number), _HOLES["cuda", 2])

    @classmethod
    def of(cls, runtime: Runtime, machine: Machine | None = None) -> "Conditions":
        """The conditions of a machine.

        Args:
            machine: None is this one.

        Raises:
            PipelineError: this machine has not the device that `runtime.device` asks for.
        """
        device = choose_device(runtime.device) if machine is None else machine.device
        compiles = has_triton if machine is None else lambda: True  # as on every GPU under Linux
        if machine is not None and device == "cuda" and runtime.precision == "auto":
            number = 2  # every GPU that is made for training multiplies bf16
        else:
            number = choose_dtype(runtime.precision, device).itemsize
        memory = total_memory(torch.device(device)) if machine is None else machine.memory
        return cls(
            torch.device(device),
            number,
            choose_attention(runtime.attention, device, compiles=compiles),
            forward_limit(runtime.max_forward_tokens),
            kept_activations(runtime.recompute, torch.device(device), memory=memory),
            memory=memory,
            frozen=frozen_limit(runtime.max_forward_tokens),
        )
