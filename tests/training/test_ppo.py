"""PPO of a tiny model: it starts at ratio 1 and KL 0, moves what it should, and raises a toy score."""

import itertools

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.params.schema import Finetuning, Ppo
from pipeline.training import ppo
from pipeline.training.ppo import prompt_stream, update_policy
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA, changed
from tests.training.recording import assert_only_trainable_parameters_changed, assert_same_bytes, snapshot
from tests.training.toy_ppo import PROMPTS, SAMPLING, count_e, hand_rollout, rollout_of, train


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_every_trainable_parameter_changes_and_no_other(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    finetuning: Finetuning,
) -> None:
    policy = make_policy(finetuning, with_values=True)
    reference = None if policy.has_adapters else make_policy()
    before = snapshot(policy)
    recorder = train(policy, tokenizer, settings, compute, reference=reference)
    assert_only_trainable_parameters_changed(policy, before)
    if reference is not None:
        assert_same_bytes(reference, make_policy())
    assert recorder.steps == [1, 2]


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_it_starts_as_its_own_reference(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    finetuning: Finetuning,
) -> None:
    policy = make_policy(finetuning, with_values=True)
    one_update = changed(settings, num_ppo_epochs=1, num_minibatches=1, total_episodes=16)
    reference = None if policy.has_adapters else make_policy()
    first = train(policy, tokenizer, one_update, compute, reference=reference).rows[0]
    assert first["kl_k1"] == pytest.approx(0.0, abs=1e-4)
    assert first["kl_k3"] == pytest.approx(0.0, abs=1e-6)
    assert first["approximate_kl"] == pytest.approx(0.0, abs=1e-8)
    assert first["ratio_max"] == pytest.approx(1.0, abs=1e-4)
    assert first["clip_fraction"] == 0.0
    # whitened advantages have mean 0, and at ratio 1 the loss is minus their mean
    assert first["policy_loss"] == pytest.approx(0.0, abs=1e-5)
    assert first["explained_variance"] == pytest.approx(0.0, abs=1e-5)
    assert first["updates"] == 1
    later = train(make_policy(LORA, with_values=True), tokenizer, settings, compute).rows[1]
    assert later["kl_k3"] > 1e-4


@pytest.fixture
def bold(settings: Ppo) -> Ppo:
    """Large steps without a KL penalty: ten iterations show where the score goes."""
    return changed(
        settings,
        total_episodes=640,
        rollout_batch_size=64,
        per_device_train_batch_size=32,
        learning_rate=2e-2,
        kl_coef=0.0,
        cliprange_value=10.0,
    )


@pytest.mark.parametrize("finetuning", [changed(LORA, lora_r=16, lora_alpha=128), FULL], ids=["lora", "full"])
def test_a_toy_score_goes_up(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    bold: Ppo,
    compute: Compute,
    finetuning: Finetuning,
) -> None:
    policy = make_policy(finetuning, with_values=True)
    reference = None if policy.has_adapters else make_policy()
    # adapters of a 2-layer model have little to move, so they get more episodes
    plan = changed(bold, total_episodes=3 * bold.total_episodes) if policy.has_adapters else bold
    scores = train(policy, tokenizer, plan, compute, reference=reference).column("score")
    assert sum(scores[-2:]) / 2 > 2 * scores[0], scores


def test_the_sign_of_the_score_decides_the_direction(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, bold: Ppo, compute: Compute
) -> None:
    policy = make_policy(FULL, with_values=True)
    plan = changed(bold, total_episodes=384)
    recorder = train(policy, tokenizer, plan, compute, reference=make_policy(), score=lambda texts: -count_e(texts))
    prompts_alone = count_e(PROMPTS).mean().item()
    wanted = [-score - prompts_alone for score in recorder.column("score")]
    assert sum(wanted[-2:]) / 2 < 0.6 * wanted[0], wanted


def test_a_kl_penalty_keeps_the_policy_near_its_reference(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, bold: Ppo, compute: Compute
) -> None:
    kl = []
    for kl_coef in (0.0, 5.0):
        plan = changed(bold, total_episodes=384, learning_rate=5e-3, kl_coef=kl_coef)
        kl.append(train(make_policy(LORA, with_values=True), tokenizer, plan, compute).rows[-1]["kl_k3"])
    assert kl[1] < 0.5 * kl[0], kl


def test_every_prompt_once_a_pass() -> None:
    stream = prompt_stream(["a", "b", "c", "d", "e"], seed=0)
    passes = [list(itertools.islice(stream, 5)) for _ in range(4)]
    assert all(sorted(one) == ["a", "b", "c", "d", "e"] for one in passes)
    assert len({tuple(one) for one in passes}) > 1
    again = list(itertools.islice(prompt_stream(["a", "b", "c", "d", "e"], seed=0), 20))
    assert again == [prompt for one in passes for prompt in one]


def updates(
    policy: Policy, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute, **changes: Tensor
) -> dict[str, float]:
    """One rollout and its update, with parts of the rollout replaced."""
    rollout = hand_rollout(rollout_of(policy, tokenizer, settings, compute), **changes)
    optimization = ppo._optimization(policy, settings, compute, 2)
    orders = [range(settings.rollout_batch_size)] * settings.num_ppo_epochs
    return update_policy(policy, optimization, rollout, orders, settings, SAMPLING, compute, check_ratio=True)


def test_forward_batches_do_not_change_the_update(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    # the sizes of sampling and old log-probs follow the same setting, and change nothing either
    results, policies = [], []
    for size in (1, 2, 8):
        policies.append(make_policy(FULL, with_values=True))
        plan = changed(settings, per_device_train_batch_size=size, learning_rate=1e-4)
        rollout = rollout_of(policies[-1], tokenizer, plan, compute, reference=make_policy())
        optimization = ppo._optimization(policies[-1], plan, compute, 2)
        orders = [range(16), range(15, -1, -1)]
        results.append(
            update_policy(policies[-1], optimization, rollout, orders, plan, SAMPLING, compute, check_ratio=True)
        )
    for result in results[1:]:
        for name, value in results[0].items():
            assert result[name] == pytest.approx(value, rel=2e-3, abs=1e-5), name


def test_minibatches_hold_every_episode_once_an_epoch(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    rollout = rollout_of(make_policy(LORA, with_values=True), tokenizer, settings, compute)
    orders = [list(range(16)), list(range(15, -1, -1))]
    minibatches = list(ppo._minibatches(rollout, orders, settings))
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


def test_updates_are_counted_and_the_schedule_follows_the_episodes(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    full = train(make_policy(LORA, with_values=True), tokenizer, settings, compute)
    assert full.column("updates") == [4, 4]
    assert full.column("learning_rate") == pytest.approx([1e-3, 5e-4])
    # any change at all exceeds this target: the rest of each rollout is skipped, the schedule goes on
    short = train(make_policy(LORA, with_values=True), tokenizer, changed(settings, target_kl_per_update=1e-9), compute)
    assert all(count < 4 for count in short.column("updates"))
    assert short.column("learning_rate") == pytest.approx([1e-3, 5e-4])


def test_training_stops_beyond_max_kl(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    plan = changed(settings, total_episodes=80, learning_rate=2e-2, max_kl=0.5, kl_coef=0.0)
    recorder = train(make_policy(LORA, with_values=True), tokenizer, plan, compute)
    assert recorder.column("kl_k1")[-1] > 0.5
    assert all(kl <= 0.5 for kl in recorder.column("kl_k1")[:-1])
    assert len(recorder.rows) < 5


def test_log_probs_that_are_not_the_samplers_are_refused(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    policy = make_policy(LORA, with_values=True)
    rollout = rollout_of(policy, tokenizer, settings, compute)
    before = snapshot(policy)
    shifted = rollout.old_logprobs - 0.1 * rollout.batch.response_mask
    with pytest.raises(PipelineError, match="ratio is not 1"):
        updates(policy, tokenizer, settings, compute, old_logprobs=shifted)
    assert all(torch.equal(parameter, before[name]) for name, parameter in policy.named_parameters())


def test_a_policy_without_value_head_is_refused(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    with pytest.raises(TypeError, match="value head"):
        train(make_policy(LORA), tokenizer, settings, compute)


def test_scores_that_are_not_finite_stop_the_run(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    policy = make_policy(LORA, with_values=True)
    before = snapshot(policy)
    with pytest.raises(PipelineError):
        train(policy, tokenizer, settings, compute, score=lambda texts: torch.full((len(texts),), float("nan")))
    assert all(torch.equal(parameter, before[name]) for name, parameter in policy.named_parameters())


def test_the_value_head_has_its_own_learning_rate(make_policy: PolicyMaker, settings: Ppo, compute: Compute) -> None:
    policy = make_policy(LORA, with_values=True)
    groups = ppo._optimization(policy, settings, compute, 2).optimizer.param_groups
    assert [group["lr"] for group in groups] == [settings.learning_rate, settings.value_learning_rate]
    assert groups[1]["params"] == list(policy.value_head.parameters())
    assert sum(len(group["params"]) for group in groups) == sum(p.requires_grad for p in policy.parameters())


@pytest.mark.parametrize(("count", "steps"), [(0, []), (1, [2]), (3, [1, 2, 3])])
def test_checkpoints_are_kept_on_the_way(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    count: int,
    steps: list[int],
) -> None:
    plan = changed(settings, total_episodes=64, frontier_checkpoints=count)
    assert train(make_policy(LORA, with_values=True), tokenizer, plan, compute).checkpoints == steps


def test_the_same_seed_gives_the_same_bytes(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    policies, recorders = [make_policy(LORA, with_values=True) for _ in range(3)], []
    for policy, seed in zip(policies, (0, 0, 1), strict=True):
        recorders.append(train(policy, tokenizer, settings, compute, seed=seed))
    assert_same_bytes(policies[0], policies[1])
    assert recorders[0].rows == recorders[1].rows
    with pytest.raises(AssertionError):
        assert_same_bytes(policies[0], policies[2])
