"""The memory that a process may use is that of its container, where this has less than the machine."""

from pathlib import Path

import pytest
import torch

from pipeline.models.machine import total_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_container_limits_what_its_machine_has(tmp_path: Path, name: str) -> None:
    whole = total_memory(CPU, cgroup=tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(f"{64 << 20}\n")
    assert total_memory(CPU, cgroup=tmp_path) == 64 << 20 < whole


@pytest.mark.parametrize("content", ["max\n", f"{(1 << 63) - 4096}\n", "\n"])
def test_no_limit_leaves_the_machine_s_memory(tmp_path: Path, content: str) -> None:
    whole = total_memory(CPU, cgroup=tmp_path)
    (tmp_path / "memory.max").write_text(content)
    assert total_memory(CPU, cgroup=tmp_path) == whole > 256 << 20
