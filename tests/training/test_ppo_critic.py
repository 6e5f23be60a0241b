"""The critic of PPO: a head on the policy, or a network of its own."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from pipeline.models.compute import Compute
from pipeline.models.critic import critic_from_policy
from pipeline.params.base import Finetuning
from pipeline.params.optimize import Ppo
from pipeline.training.ppo import ppo_optimization
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA, changed
from tests.training.recording import assert_only_trainable_parameters_changed, snapshot
from tests.training.toy_ppo import roles_of, train


def test_a_policy_without_value_head_is_refused(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    with pytest.raises(TypeError, match="gae with 0 critics"):
        train(make_policy(LORA), tokenizer, settings, compute)


@pytest.mark.parametrize(("kind", "left"), [("linear", 0.25), ("cosine", 0.5 - 0.5**1.5), ("constant", 1.0)])
def test_the_value_head_has_its_own_learning_rate(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    kind: str,
    left: float,
) -> None:
    policy = make_policy(LORA, with_values=True)
    plan = changed(settings, learning_rate=2e-3, critic_learning_rate=7e-3, lr_scheduler_type=kind)
    optimization = ppo_optimization(roles_of(policy, tokenizer), plan, compute, 2)
    groups = optimization.optimizer.param_groups
    assert [group["lr"] for group in groups] == [2e-3, 7e-3]
    for _ in range(6):  # of eight
        optimization.step()
    assert [group["lr"] for group in groups] == pytest.approx([left * 2e-3, left * 7e-3])
    assert groups[1]["params"] == list(policy.value_head.parameters())
    assert sum(len(group["params"]) for group in groups) == sum(p.requires_grad for p in policy.parameters())


@pytest.mark.parametrize(
    "finetuning",
    [pytest.param(LORA, marks=pytest.mark.slow(beside="test_a_critic_of_its_own_learns_beside_the_policy")), FULL],
    ids=["lora", "full"],
)
def test_a_critic_of_its_own_learns_beside_the_policy(
    make_policy: PolicyMaker,
    policy_folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    whole_batches: Compute,
    finetuning: Finetuning,
) -> None:
    policy = make_policy(finetuning)
    critic = critic_from_policy(policy_folder, whole_batches, finetuning=finetuning, seed=0)
    before = snapshot(policy), snapshot(critic)
    reference = None if policy.has_adapters else make_policy()
    plan = changed(settings, total_episodes=400, kl_coef=0.0, critic_learning_rate=1e-2, cliprange_value=10.0)
    recorder = train(policy, tokenizer, plan, whole_batches, reference=reference, critic=critic)
    assert_only_trainable_parameters_changed(policy, before[0])
    assert_only_trainable_parameters_changed(critic, before[1])
    explained = recorder.column("explained_variance")
    assert sum(explained[-5:]) / 5 > 0.2 > explained[0], explained


def test_a_warming_critic_leaves_the_policy_where_it_is(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    plan = changed(settings, total_episodes=48, critic_warmup_iterations=2)
    recorder = train(make_policy(LORA, with_values=True), tokenizer, plan, compute)
    assert recorder.column("ratio_max")[:2] == pytest.approx([1.0, 1.0], abs=1e-4)
    assert recorder.column("kl_k3")[:3] == pytest.approx([0.0] * 3, abs=1e-6)
    assert recorder.column("ratio_max")[2] > 1.001
