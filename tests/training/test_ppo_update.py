"""One update of PPO from one rollout: batches, steps, and when it stops."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import ForwardLimit
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.critic import critic_from_policy
from pipeline.models.policy import Policy
from pipeline.params.optimize import Ppo
from pipeline.training import ppo_update
from pipeline.training.ppo import ppo_optimization
from pipeline.training.ppo_update import update_policy
from pipeline.training.roles import Roles
from pipeline.training.rollout import PpoSetup, Rollout, forward_batches
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA, changed
from tests.training.recording import assert_same_bytes, snapshot
from tests.training.toy_ppo import SAMPLING, hand_rollout, roles_of, rollout_of


def updates(
    policy: Policy, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute, **changes: Tensor
) -> dict[str, float]:
    """One rollout and its update, with parts of the rollout replaced."""
    roles = roles_of(policy, tokenizer)
    rollout = hand_rollout(rollout_of(roles, settings, compute), **changes)
    return update(roles, rollout, settings, compute)


def update(roles: Roles, rollout: Rollout, settings: Ppo, compute: Compute, **options: bool) -> dict[str, float]:
    optimization = ppo_optimization(roles, settings, compute, 2)
    orders = [range(settings.rollout_batch_size), range(settings.rollout_batch_size - 1, -1, -1)]
    return update_policy(
        PpoSetup(roles, settings, SAMPLING, compute),
        optimization,
        rollout,
        orders[: settings.num_ppo_epochs],
        **{"check_ratio": True, "critic_only": False} | options,
    )


def shortened(rollout: Rollout) -> Rollout:
    """Responses of one to six tokens: forward batches of as many episodes then differ in tokens."""
    batch = rollout.batch
    width = batch.response_mask.shape[1]
    kept = torch.arange(width) < 1 + torch.arange(len(batch.response_mask))[:, None] % width
    prompts = torch.ones(len(kept), batch.input_ids.shape[1] - width, dtype=torch.bool)
    shorter = replace(
        batch,
        response_mask=batch.response_mask & kept,
        attention_mask=batch.attention_mask & torch.cat([prompts, kept], 1),
    )
    return replace(rollout, batch=shorter)


def test_forward_batches_do_not_change_the_update(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    # the sizes of sampling and old log-probs follow the same setting, and change nothing either
    results = []
    for size in (1, 2, 8):
        plan = changed(settings, per_device_train_batch_size=size, learning_rate=1e-4)
        roles = roles_of(make_policy(FULL, with_values=True), tokenizer, reference=make_policy())
        results.append(update(roles, shortened(rollout_of(roles, plan, compute)), plan, compute))
    for result in results[1:]:
        for name, value in results[0].items():
            assert result[name] == pytest.approx(value, rel=2e-3, abs=1e-5), name


def test_minibatches_hold_every_episode_once_an_epoch(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    roles = roles_of(make_policy(LORA, with_values=True), tokenizer)
    rollout = rollout_of(roles, settings, compute)
    orders = [list(range(16)), list(range(15, -1, -1))]
    setup = PpoSetup(roles, settings, SAMPLING, replace(compute, forward_limit=None))
    minibatches = list(ppo_update._minibatches(setup, rollout, orders))
    assert len(minibatches) == settings.num_ppo_epochs * settings.num_minibatches
    lengths = rollout.batch.response_mask.sum(1).tolist()
    for minibatch in minibatches:
        assert [len(forward) for forward in minibatch.forwards] == [4, 4]
        assert minibatch.tokens == sum(lengths[i] for forward in minibatch.forwards for i in forward)
    whole = rollout.batch.attention_mask.sum(1).tolist()
    for order, pair in zip(orders, (minibatches[:2], minibatches[2:]), strict=True):
        for minibatch, episodes in zip(pair, (order[:8], order[8:]), strict=True):
            found = [i for forward in minibatch.forwards for i in forward]
            assert sorted(found) == sorted(episodes)
            assert [whole[i] for i in found] == sorted(whole[i] for i in found)


def test_long_episodes_pass_in_smaller_parts(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    batch = rollout_of(roles_of(make_policy(LORA, with_values=True), tokenizer), settings, compute).batch
    lengths = batch.attention_mask.sum(1).tolist()
    most = 2 * max(lengths)
    parts = forward_batches(batch, range(16), settings, replace(compute, forward_limit=ForwardLimit(most, most)))
    assert sorted(episode for part in parts for episode in part) == list(range(16))
    assert all(len(part) * max(lengths[episode] for episode in part) <= most for part in parts)
    whole = forward_batches(batch, range(16), settings, replace(compute, forward_limit=ForwardLimit(10_000, 1)))
    assert [len(part) for part in whole] == [4, 4, 4, 4], "what is short passes as ever"


def test_log_probs_that_are_not_the_samplers_are_refused(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    policy = make_policy(LORA, with_values=True)
    rollout = rollout_of(roles_of(policy, tokenizer), settings, compute)
    before = snapshot(policy)
    shifted = rollout.old_logprobs - 0.1 * rollout.batch.response_mask
    with pytest.raises(PipelineError, match="ratio is not 1"):
        updates(policy, tokenizer, settings, compute, old_logprobs=shifted)
    assert all(torch.equal(parameter, before[name]) for name, parameter in policy.named_parameters())


def test_importance_weights_reach_the_policys_loss_and_nothing_else(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    once = changed(settings, num_ppo_epochs=1, num_minibatches=1)
    doubled = changed(once, importance_truncation=2.0)

    def first_update(plan: Ppo, gap: float) -> dict[str, float]:
        policy = make_policy(LORA, with_values=True)
        rollout = rollout_of(roles_of(policy, tokenizer), plan, compute)
        # advantages whose mean is not 0, so that a factor shows in the loss
        mask = rollout.batch.response_mask
        changes = {"sampler_logprobs": rollout.old_logprobs - gap * mask, "advantages": 1.0 * mask}
        return updates(policy, tokenizer, plan, compute, **changes)

    plain, same, half, most = (
        first_update(once, 5.0), first_update(doubled, 0.0), first_update(doubled, -math.log(2)),
        first_update(doubled, 5.0),
    )  # fmt: skip
    assert plain["policy_loss"] == pytest.approx(-1.0, abs=1e-5)
    for name, value in plain.items():
        assert same[name] == pytest.approx(value, rel=1e-5, abs=1e-7), name
    for found, factor in ((half, 0.5), (most, 2.0)):
        assert found["policy_loss"] == pytest.approx(factor * plain["policy_loss"], rel=1e-4)
        assert found["grad_norm"] == pytest.approx(factor * plain["grad_norm"], rel=1e-4)
        assert found["value_loss"] == pytest.approx(plain["value_loss"], rel=1e-6)


@pytest.mark.parametrize("limit", [{"target_kl_per_update": 1e-9}, {"max_ratio": 1.0001}])
def test_a_minibatch_that_moved_too_far_is_not_learned_from(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    limit: dict[str, float],
) -> None:
    roles = roles_of(make_policy(LORA, with_values=True), tokenizer)
    rollout = rollout_of(roles, settings, compute)
    stopped = update(roles, rollout, changed(settings, **limit), compute)
    assert stopped["updates"] == 1 and stopped["ratio_max"] > 1.0001
    once = roles_of(make_policy(LORA, with_values=True), tokenizer)
    plan = changed(settings, num_ppo_epochs=1)
    optimization = ppo_optimization(once, settings, compute, 2)
    setup = PpoSetup(once, plan, SAMPLING, compute)
    update_policy(setup, optimization, rollout, [range(8)], check_ratio=True, critic_only=False)
    assert_same_bytes(roles.policy, once.policy)


def test_the_critic_alone_learns_when_asked(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    roles = roles_of(make_policy(LORA, with_values=True), tokenizer)
    before = snapshot(roles.policy)
    update(roles, rollout_of(roles, settings, compute), settings, compute, critic_only=True)
    changed_names = {n for n, p in roles.policy.named_parameters() if not torch.equal(p, before[n])}
    assert changed_names == {"value_head.weight", "value_head.bias"}


@pytest.mark.parametrize("critic", ["shared", "policy"])
def test_the_value_loss_does_not_touch_the_policys_step(
    make_policy: PolicyMaker,
    policy_folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    critic: str,
) -> None:
    """Clipped by a joint norm, a value loss of 1000 times the weight would shrink the policy's gradient."""
    policies, results = [], []
    for factor in (1, 1000):
        own = critic_from_policy(policy_folder, compute, finetuning=LORA, seed=0) if critic == "policy" else None
        roles = roles_of(make_policy(LORA, with_values=own is None), tokenizer, critic=own)
        plan = changed(settings, vf_coef=factor * settings.vf_coef, critic=critic)
        results.append(update(roles, rollout_of(roles, plan, compute), plan, compute))
        policies.append({n: p for n, p in roles.policy.named_parameters() if "value_head" not in n})
    assert all(torch.equal(parameter, policies[1][name]) for name, parameter in policies[0].items())
    first, second = results
    assert second["grad_norm"] == first["grad_norm"] > 0
    assert second["critic_grad_norm"] > 100 * first["critic_grad_norm"] > 0
