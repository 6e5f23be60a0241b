"""Trainings use no operation that a GPU refuses, for the sake of the same bytes in every run."""

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import TokenizedExample
from pipeline.models import drawing
from pipeline.models.compute import Compute
from pipeline.models.scoring import response_logps
from pipeline.params.base import Finetuning
from pipeline.params.optimize import Ppo
from tests.conftest import PolicyMaker
from tests.device_rules import refused_by
from tests.tiny_models import FULL, LORA, changed
from tests.training.toy_ppo import train

EXAMPLES = [TokenizedExample([11, 12], [40 + row, 41, 2]) for row in range(4)]


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_log_probs_and_their_gradients(make_policy: PolicyMaker, compute: Compute, finetuning: Finetuning) -> None:
    policy = make_policy(finetuning)
    assert policy.reads_flat_rows
    assert not refused_by(lambda: response_logps(policy, EXAMPLES, compute, pad_token_id=0).sum().backward())


def test_ppo_from_the_prompt_to_the_step(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = changed(settings, total_episodes=16, num_ppo_epochs=1)
    policy = make_policy(LORA, with_values=True)
    monkeypatch.setattr(drawing, "_SUMS_IN_ORDER", frozenset())
    assert not refused_by(lambda: train(policy, tokenizer, short, compute))


def test_what_is_refused_is_seen() -> None:
    assert refused_by(lambda: torch.ones(3).cumsum(0)) == {"aten.cumsum"}
    assert not refused_by(lambda: torch.ones(3, dtype=torch.bool).cumsum(0))
