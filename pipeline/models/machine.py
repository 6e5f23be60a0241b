"""How much memory this process may use."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")


def total_memory(device: torch.device, *, cgroup: Path = _CGROUP) -> int:
    """Bytes of the GPU, or of the machine or container where that has less."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return min(_machine_memory(), *_container_limits(cgroup))


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _container_limits(cgroup: Path) -> Iterator[int]:
    """Limits of control groups of either version; without a limit a file says `max`, or a number beyond any memory."""
    yield 1 << 62
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            yield int((cgroup / name).read_text())
