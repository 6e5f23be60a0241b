"""Settings of the toy PPO task, and bf16 to compute in."""

from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from pipeline.data.tokens import ForwardLimit
from pipeline.models.compute import Compute
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Params
from tests.tiny_models import changed


@pytest.fixture
def settings(params: Params) -> Ppo:
    return changed(
        params.optimize.ppo,
        total_episodes=32,
        rollout_batch_size=16,
        num_ppo_epochs=2,
        num_minibatches=2,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        warmup_ratio=0.0,
        target_kl_per_update=100.0,
        max_kl=1000.0,
        save_steps=0,
    )


@pytest.fixture
def whole_batches(compute: Compute) -> Compute:
    """A batch passes at once, for those who train long.

    In parts of a few responses it takes several times as long, and the gradient is the same: `test_ppo_update.py` and
    `test_scoring.py` in models/.
    """
    return replace(compute, forward_limit=ForwardLimit(4096, 4096))


class Bf16(Accelerator):
    """`autocast` to bf16 without the process-wide setting of accelerate."""

    def autocast(self) -> AbstractContextManager[None]:
        return torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.fixture
def bf16(compute: Compute) -> Compute:
    return replace(compute, accelerator=Bf16(cpu=True), dtype=torch.bfloat16)
