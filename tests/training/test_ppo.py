"""PPO of a tiny model: it starts at ratio 1 and KL 0, moves what it should, and raises a toy score."""

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.objectives.advantages import generalized_advantages, shaped_rewards
from pipeline.params.schema import Finetuning, Params, Ppo, Sampling
from pipeline.seeding import torch_generator
from pipeline.training import ppo
from pipeline.training.ppo import prompt_stream, train_ppo, update_policy
from pipeline.training.rollout import Rollout, collect_rollout, rollout_metrics
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA, SENTENCES, changed
from tests.training.recording import Recorder, assert_only_trainable_parameters_changed, assert_same_bytes, snapshot

PROMPTS = [" ".join(text.split()[:count]) for text in SENTENCES for count in (1, 3)]
SAMPLING = Sampling(max_new_tokens=6, temperature=0.9, top_k=0, top_p=1.0, batch_size=64)


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
        target_kl_per_update=100.0,
        max_kl=1000.0,
        frontier_checkpoints=0,
    )


def count_e(texts: Sequence[str]) -> Tensor:
    """A toy reward model: how often the letter e occurs."""
    return torch.tensor([float(text.count("e")) for text in texts])


def train(
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    *,
    reference: Policy | None = None,
    score=count_e,
    seed: int = 0,
) -> Recorder:
    recorder = Recorder()
    train_ppo(
        policy,
        reference,
        tokenizer,
        PROMPTS,
        score,
        settings,
        SAMPLING,
        compute,
        seed=seed,
        **recorder.callbacks(),
    )
    return recorder


def rollout_of(
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    *,
    reference: Policy | None = None,
) -> Rollout:
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(settings.rollout_batch_size)]
    return collect_rollout(
        policy, reference, tokenizer, prompts, count_e, settings, SAMPLING, compute, torch_generator(0, "test")
    )


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


def test_a_rollout_is_what_its_parts_say(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    plain = changed(settings, whiten_advantages=False, gamma=0.9, lam=0.8, kl_coef=0.5)
    policy = make_policy(LORA, with_values=True)
    with torch.no_grad():
        policy.value_head.weight.fill_(0.1)
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.02)
    rollout = rollout_of(policy, tokenizer, plain, compute)
    with torch.no_grad():
        output = policy(rollout.batch, temperature=0.9)
        with policy.reference():
            ref = policy(rollout.batch, temperature=0.9).logprobs
    assert torch.allclose(rollout.old_logprobs, output.logprobs, atol=1e-5)
    assert torch.allclose(rollout.old_values, output.values, atol=1e-5)
    assert torch.allclose(rollout.ref_logprobs, ref, atol=1e-5)
    assert not torch.allclose(rollout.ref_logprobs, rollout.old_logprobs, atol=1e-2)
    mask = rollout.batch.response_mask
    rewards = shaped_rewards(
        scores=rollout.scores,
        logprobs=rollout.old_logprobs,
        ref_logprobs=rollout.ref_logprobs,
        response_mask=mask,
        kl_coef=0.5,
    )
    advantages, returns = generalized_advantages(
        rewards=rewards, values=rollout.old_values, response_mask=mask, gamma=0.9, lam=0.8
    )
    assert torch.equal(rollout.advantages, advantages) and torch.equal(rollout.returns, returns)
    texts = [
        tokenizer.decode(ids[keep].tolist(), skip_special_tokens=True)
        for ids, keep in zip(rollout.batch.input_ids, rollout.batch.attention_mask, strict=True)
    ]
    assert torch.allclose(rollout.scores, count_e(texts))


def test_whitening_leaves_the_returns_alone(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    plain, white = (
        rollout_of(make_policy(LORA, with_values=True), tokenizer, changed(settings, whiten_advantages=whiten), compute)
        for whiten in (False, True)
    )
    mask = plain.batch.response_mask
    assert torch.equal(plain.returns, white.returns)
    assert white.advantages[mask].mean().item() == pytest.approx(0.0, abs=1e-5)
    assert white.advantages[mask].std(unbiased=False).item() == pytest.approx(1.0, abs=1e-3)
    assert not torch.allclose(plain.advantages, white.advantages, atol=0.1)


def hand_rollout(rollout: Rollout, **changes: Tensor) -> Rollout:
    return Rollout(**{**rollout.__dict__, **changes})


def test_rollout_metrics_count_response_tokens_only(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    rollout = rollout_of(
        make_policy(LORA, with_values=True),
        tokenizer,
        changed(settings, rollout_batch_size=4, num_minibatches=1),
        compute,
    )
    mask = torch.tensor([[True] * 3, [True, False, False], [True, True, False], [True, False, False]])
    batch = type(rollout.batch)(rollout.batch.input_ids, rollout.batch.attention_mask, mask.long(), mask)
    garbage = torch.where(mask, 0.0, 1e9)
    metrics = rollout_metrics(
        hand_rollout(
            rollout,
            batch=batch,
            scores=torch.tensor([1.0, 3.0, 1.0, 3.0]),
            old_logprobs=torch.where(mask, -1.0, 0.0),
            ref_logprobs=torch.where(mask, -1.5, 0.0) - garbage,
            entropy=torch.where(mask, 2.0, 0.0) + garbage,
            old_values=torch.where(mask, 1.0, 0.0) + garbage,
            returns=torch.where(mask, 4.0, 0.0) + garbage,
            ended=torch.tensor([True, False, False, False]),
        )
    )
    assert metrics["score"] == 2.0 and metrics["score_std"] == 1.0
    assert metrics["kl_k1"] == pytest.approx(0.5 * 7 / 4)
    assert metrics["kl_k3"] == pytest.approx((torch.tensor(-0.5).exp().item() - 1 + 0.5) * 7 / 4, rel=1e-4)
    assert metrics["entropy"] == 2.0
    assert metrics["response_tokens"] == 7 / 4
    assert metrics["eos_rate"] == 0.25
    assert metrics["explained_variance"] == 0.0


def test_explained_variance_is_one_for_perfect_values(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    rollout = rollout_of(make_policy(LORA, with_values=True), tokenizer, settings, compute)
    perfect = rollout_metrics(hand_rollout(rollout, old_values=rollout.returns))
    assert perfect["explained_variance"] == pytest.approx(1.0, abs=1e-6)
    inverted = rollout_metrics(hand_rollout(rollout, old_values=-rollout.returns))
    assert inverted["explained_variance"] == pytest.approx(-3.0, abs=1e-4)


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
    for order, pair in zip(orders, (minibatches[:2], minibatches[2:]), strict=True):
        assert [i for minibatch in pair for forward in minibatch.forwards for i in forward] == order


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
