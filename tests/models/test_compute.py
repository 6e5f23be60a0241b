"""What a stage computes on."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipeline.models.compute import Compute


@pytest.mark.parametrize(
    ("of_accelerate", "expected"),
    [
        (torch.device("cpu"), torch.device("cpu")),
        # as accelerate names it in each of several processes: weights would be copied to it from the file they lie in
        (torch.device("cpu", 0), torch.device("cpu")),
        (torch.device("cuda", 1), torch.device("cuda", 1)),
    ],
)
def test_a_cpu_has_no_number(of_accelerate: torch.device, expected: torch.device) -> None:
    accelerator: Any = SimpleNamespace(device=of_accelerate)
    assert Compute(accelerator, torch.float32, "eager", 1).device == expected
