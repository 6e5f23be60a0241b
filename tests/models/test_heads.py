"""Values and scores are fp32 products of the states, under bf16 autocast, too."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.models.compute import Compute
from pipeline.models.critic import critic_from_policy
from pipeline.models.heads import Fp32Linear
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from tests.conftest import PolicyMaker
from tests.passages import ended
from tests.tiny_models import FULL, LORA, SENTENCES, save_bought_reward_model

BATCH = collate([TokenizedExample([5, 6, 7], [8, 9]), TokenizedExample([11], [12, 13, 14, 15])], pad_token_id=0)


def assert_fp32_product(head: nn.Linear, compute_values: Callable[[], Tensor]) -> None:
    """The values are the head's on the states that it was given, and have more digits than bf16."""
    states: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0].detach()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = compute_values().detach().flatten()
    hook.remove()
    # a CPU reads texts in parts of similar length, so they come in another order
    expected = (torch.cat(states).double() @ head.weight.detach().double().T + head.bias.detach().double()).flatten()
    assert values.dtype == torch.float32
    assert torch.allclose(values[values != 0].double().sort()[0], expected.sort()[0], rtol=1e-5, atol=1e-6)
    assert not torch.equal(values, values.bfloat16().float())


def filled(head: nn.Linear) -> nn.Linear:
    nn.init.normal_(head.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    return head


def test_values_of_a_shared_critic(make_policy: PolicyMaker) -> None:
    policy = make_policy(LORA, with_values=True)
    assert_fp32_product(filled(policy.value_head), lambda: policy(BATCH).values)


def test_values_of_a_critic_of_its_own(policy_folder: Path, compute: Compute) -> None:
    critic = critic_from_policy(policy_folder, compute, finetuning=FULL, seed=0)
    assert_fp32_product(filled(critic.head), lambda: critic(BATCH))


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_training_scores(kind: str, encoder_folder: Path, decoder_folder: Path, compute: Compute) -> None:
    model = create_reward_model(
        encoder_folder if kind == "encoder" else decoder_folder, compute, max_length=64, seed=0, finetuning=FULL
    )
    assert_fp32_product(model.head, lambda: model(*model.tokenize(ended(SENTENCES))))
    pairs = list(zip(model.encode(ended(SENTENCES[:3])), model.encode(ended(SENTENCES[3:])), strict=True))
    assert_fp32_product(model.head, lambda: torch.stack(model.forward_pairs(pairs), 1))


@pytest.mark.parametrize("kind", ["deberta", "roberta", "llama"])
def test_scores_of_a_bought_model(kind: str, decoder_folder: Path, compute: Compute, tmp_path: Path) -> None:
    save_bought_reward_model(tmp_path, kind, decoder_folder)
    model = load_reward_model(tmp_path, compute, max_length=64)
    model.network.bfloat16()
    assert_fp32_product(model.head, lambda: model(*model.tokenize(ended(SENTENCES))))


def test_a_head_keeps_its_parameters() -> None:
    plain = nn.Linear(4, 1, bias=False)
    head = Fp32Linear.of(plain)
    assert head.weight is plain.weight and head.bias is None
    assert head.state_dict().keys() == plain.state_dict().keys()
