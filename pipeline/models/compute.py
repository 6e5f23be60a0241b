"""Device, number format, threads and determinism: decided once, through accelerate."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch.utils._triton import has_triton

from pipeline import group
from pipeline.data.tokens import AUTO_FROZEN_LIMIT, AUTO_LIMIT, ForwardLimit
from pipeline.errors import PipelineError
from pipeline.kernels.attention import GROUPED
from pipeline.kernels.branch_attention import FLEX
from pipeline.models.machine import total_memory
from pipeline.params.schema import Runtime


@dataclass(frozen=True)
class Compute:
    """What a stage computes on."""

    accelerator: Accelerator
    dtype: torch.dtype
    """Number format of matrix products, and of frozen weights."""
    attention: str
    threads: int
    # the switches below give the same results faster: tests and benchmarks can turn them off, params.yaml cannot
    shared_prompts: bool = True
    """Responses to one prompt follow one copy of it."""
    padding_free: bool = True
    """Padding is left out of everything but attention, where that is `grouped`, and of attention, too, under `flex`."""
    fused_logprobs: bool = True
    """Log-probs come from hidden states, without logits of more than a few rows."""
    fused_adapters: bool = True
    """A layer and its LoRA adapter are computed in one step."""
    merged_sampling: bool = True
    """Adapters are merged into the weights while PPO samples."""
    packed_weights: bool = True
    """Frozen weights that are only read lie as a CPU's matrix products read them."""
    forward_limit: ForwardLimit | None = None
    """Tokens that go through a network at once in training; None is no limit."""
    frozen_limit: ForwardLimit | None = None
    """The same where nothing is trained: the reward model, log-probs under a reference, evaluation."""
    kept_activations: int | None = None
    """Bytes of activations that one forward pass may keep for backward; None is no limit."""

    @property
    def device(self) -> torch.device:
        # of several processes accelerate numbers the CPU as it does GPUs; to such a device torch copies every weight,
        # and in other places of the memory, which those mapped from a file have not, fp32 is summed in another order
        device = self.accelerator.device
        return torch.device("cpu") if device.type == "cpu" else device

    def describe(self) -> str:
        """For example `cpu, bf16, 2 threads, eager attention`."""
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else self.device.type
        precision = "bf16" if self.dtype == torch.bfloat16 else "fp32"
        together = f", {group.size()} processes" if group.size() > 1 else ""
        # elsewhere torch refuses, by name, an operation that has no deterministic version
        caveat = ", bytes may differ from run to run" if self.device.type == "mps" else ""
        return f"{name}, {precision}, {self.threads} threads, {self.attention} attention{together}{caveat}"


def start_compute(runtime: Runtime) -> Compute:
    """Apply the `runtime` section: threads, determinism, device and precision.

    Raises:
        PipelineError: the device asked for is not there.
    """
    threads = max(1, usable_cores() // group.local_size()) if runtime.threads == "auto" else runtime.threads
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    # uninitialised memory would be filled with NaN on every allocation, which costs 10 % and guards nothing here
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

    device = choose_device(runtime.device)
    if group.size() > 1:
        group.join(on_cpu=device == "cpu")
    dtype = choose_dtype(runtime.precision, device)
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision="bf16" if dtype == torch.bfloat16 else "no")
    return Compute(
        accelerator,
        dtype,
        choose_attention(runtime.attention, device),
        threads,
        merged_sampling=runtime.merged_sampling,
        forward_limit=forward_limit(runtime.max_forward_tokens),
        frozen_limit=frozen_limit(runtime.max_forward_tokens),
        kept_activations=kept_activations(runtime.recompute, torch.device(device)),
    )


def forward_limit(asked: str | int | None) -> ForwardLimit | None:
    """The number of tokens that `runtime.max_forward_tokens` stands for on this machine."""
    return AUTO_LIMIT if asked == "auto" else None if asked is None else ForwardLimit(int(asked), int(asked))


def frozen_limit(asked: str | int | None) -> ForwardLimit | None:
    """The same number for a pass without gradient."""
    return AUTO_FROZEN_LIMIT if asked == "auto" else forward_limit(asked)


def kept_activations(recompute: str | bool, device: torch.device, *, memory: int | None = None) -> int | None:
    """Bytes of activations that one forward pass may keep, by `runtime.recompute`; None is no limit.

    Args:
        memory: bytes of the device; None asks it.
    """
    if recompute == "auto":
        return (total_memory(device) if memory is None else memory) // _SHARE_FOR_ACTIVATIONS
    return 0 if recompute else None


_SHARE_FOR_ACTIVATIONS = 4
"""A quarter of the memory, in bytes: weights, optimiser, logits and other programs need the rest."""


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(asked: str) -> str:
    """The device that `runtime.device` stands for on this machine.

    Raises:
        PipelineError: this machine has no device of that kind.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked == "auto":
        return "cuda" if available["cuda"] else "cpu"
    if not available[asked]:
        raise PipelineError(f"runtime.device is {asked}, but this machine has no such device. Set it to auto or cpu.")
    return asked


def choose_attention(asked: str, device: str, *, compiles: Callable[[], bool] = has_triton) -> str:
    """The attention that `runtime.attention` stands for; whether a network supports it is tested on the network.

    Args:
        compiles: whether programs can be compiled for the device.
    """
    if asked != "auto":
        return asked
    return GROUPED if device == "cpu" else FLEX if device == "cuda" and compiles() else "sdpa"


def choose_dtype(asked: str, device: str) -> torch.dtype:
    """The number format of matrix products that `runtime.precision` stands for on this machine."""
    if asked == "auto":
        fast = torch.cuda.is_bf16_supported() if device == "cuda" else device == "cpu" and cpu_has_bf16()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if asked == "bf16" else torch.float32


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 in hardware (AVX512-BF16 or AMX); emulation is slower than fp32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in checks)
