"""A sampler that is deliberately not the policy that is trained."""

from typing import Any

import pytest
from torch import Tensor

from pipeline.models import sampling


def bias_sampler(monkeypatch: pytest.MonkeyPatch, bias: Tensor) -> None:
    """Add `bias` (V,) to the logits that are drawn from, and to no others; log-probs of the draws know of it."""
    project = sampling.project_logits

    def biased(network: Any, states: Tensor) -> Tensor:
        return project(network, states) + bias

    monkeypatch.setattr(sampling, "project_logits", biased)
