"""A rollout holds what its parts say, and its metrics count response tokens only."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.data.passages import Passage
from pipeline.data.tokens import TokenizedExample, collate
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_policy
from pipeline.objectives.advantages import generalized_advantages
from pipeline.objectives.rewards import shaped_rewards
from pipeline.params.optimize import Ppo
from pipeline.training.rollout import Rollout, _finished, rollout_metrics
from tests.conftest import PolicyMaker
from tests.passages import ended
from tests.tiny_models import LORA, changed
from tests.training.off_sampler import bias_sampler
from tests.training.toy_ppo import count_e, hand_rollout, roles_of, rollout_of


def reach_all_adapters(policy: Policy) -> None:
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.02)


def adapted(make_policy: PolicyMaker) -> Policy:
    """Adapters that do something."""
    policy = make_policy(LORA, with_values=True)
    reach_all_adapters(policy)
    return policy


def test_a_rollout_is_what_its_parts_say(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    plain = changed(settings, whiten_advantages=False, gamma=0.9, lam=0.8, kl_coef=0.5)
    policy = adapted(make_policy)
    with torch.no_grad():
        policy.value_head.weight.fill_(0.1)
    rollout = rollout_of(roles_of(policy, tokenizer), plain, compute)
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
        kl=rollout.old_logprobs - rollout.ref_logprobs,
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
    assert torch.allclose(rollout.scores, count_e(ended(texts)))


def test_a_response_is_finished_when_its_own_last_token_ends_it() -> None:
    examples = [([5], [6, 2]), ([5], [6, 7, 8, 2]), ([5], [6, 2, 7]), ([5], [9]), ([5], [6, 7])]
    batch = collate([TokenizedExample(*parts) for parts in examples], pad_token_id=0)
    assert _finished(batch, torch.tensor([2, 9])).tolist() == [True, True, False, True, False]


def test_whitening_leaves_the_returns_alone(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    plain, white = (
        rollout_of(
            roles_of(make_policy(LORA, with_values=True), tokenizer),
            changed(settings, whiten_advantages=whiten),
            compute,
        )
        for whiten in (False, True)
    )
    mask = plain.batch.response_mask
    assert torch.equal(plain.returns, white.returns)
    assert white.advantages[mask].mean().item() == pytest.approx(0.0, abs=1e-5)
    assert white.advantages[mask].std(unbiased=False).item() == pytest.approx(1.0, abs=1e-3)
    assert not torch.allclose(plain.advantages, white.advantages, atol=0.1)


@pytest.mark.parametrize(("estimator", "whitened"), [("gae", True), ("rloo", False), ("group", False)])
def test_each_estimator_has_the_whitening_of_its_paper(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    estimator: str,
    whitened: bool,
) -> None:
    assert settings.whiten_advantages == "auto"
    plan = changed(settings, advantage_estimator=estimator, samples_per_prompt=4)
    auto, always, never = (
        rollout_of(
            roles_of(make_policy(LORA, with_values=estimator == "gae"), tokenizer),
            changed(plan, whiten_advantages=whiten),
            compute,
        ).advantages
        for whiten in ("auto", True, False)
    )
    assert torch.equal(auto, always if whitened else never)
    assert not torch.allclose(always, never, atol=1e-2)


def test_rollout_metrics_count_response_tokens_only(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    rollout = rollout_of(
        roles_of(make_policy(LORA, with_values=True), tokenizer),
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
            sampler_logprobs=torch.where(mask, torch.tensor([-1.5, -1.0, -1.0]), 0.0) - garbage,
            old_logprobs=torch.where(mask, -1.0, 0.0),
            ref_logprobs=torch.where(mask, -1.5, 0.0) - garbage,
            entropy=torch.where(mask, 2.0, 0.0) + garbage,
            old_values=torch.where(mask, 1.0, 0.0) + garbage,
            returns=torch.where(mask, 4.0, 0.0) + garbage,
            finished=torch.tensor([True, False, False, False]),
        )
    )
    assert metrics["score"] == 2.0 and metrics["score_std"] == 1.0
    assert metrics["kl_k1"] == pytest.approx(0.5 * 7 / 4)
    assert metrics["kl_k3"] == pytest.approx((torch.tensor(-0.5).exp().item() - 1 + 0.5) * 7 / 4, rel=1e-4)
    assert metrics["entropy"] == 2.0
    assert metrics["response_tokens"] == 7 / 4
    assert metrics["eos_rate"] == 0.25
    assert metrics["explained_variance"] == 0.0
    # each of the four first tokens was drawn with half a nat less
    assert metrics["sampler_logprob_difference"] == pytest.approx(0.5 * 4 / 7)
    assert metrics["sampler_logprob_difference_max"] == 0.5
    assert metrics["sampler_kl"] == pytest.approx((math.exp(0.5) - 1 - 0.5) * 4 / 7, rel=1e-5)


@pytest.mark.parametrize("merged", [True, False])
def test_the_sampler_draws_under_the_log_probs_of_training(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute, merged: bool
) -> None:
    rollout = rollout_of(roles_of(adapted(make_policy), tokenizer), settings, replace(compute, merged_sampling=merged))
    metrics = rollout_metrics(rollout)
    assert metrics["sampler_logprob_difference_max"] < 1e-4
    assert metrics["sampler_kl"] < 1e-8
    assert bool((rollout.sampler_logprobs[~rollout.batch.response_mask] == 0).all())


def test_what_merging_in_bf16_rounds_away_is_seen(
    policy_folder: Path, tokenizer: PreTrainedTokenizerBase, settings: Ppo, bf16: Compute
) -> None:
    """Changes below half a step of the merged format are in the policy that learns and not in the one that samples."""
    policy = load_policy(policy_folder, bf16, finetuning=LORA, with_values=True)
    reach_all_adapters(policy)
    merged, apart = (
        rollout_metrics(rollout_of(roles_of(policy, tokenizer), settings, replace(bf16, merged_sampling=merged)))
        for merged in (True, False)
    )
    assert merged["sampler_logprob_difference"] > 1.1 * apart["sampler_logprob_difference"] > 0


def test_a_sampler_that_is_another_policy_is_measured(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = make_policy(LORA, with_values=True)
    bias_sampler(monkeypatch, torch.linspace(-1, 1, len(tokenizer)))
    rollout = rollout_of(roles_of(policy, tokenizer), settings, compute)
    ids, mask = rollout.batch.response_ids, rollout.batch.response_mask
    # log(softmax(l + b) / softmax(l)) = b - log E[exp(b)], whose last part lies within the range of b
    difference = (rollout.sampler_logprobs - rollout.old_logprobs)[mask]
    normalizer = torch.linspace(-1, 1, len(tokenizer))[ids[mask]] / 0.9 - difference
    assert bool((normalizer.abs() < 1 / 0.9).all()) and difference.abs().max() > 0.5
    metrics = rollout_metrics(rollout)
    assert metrics["sampler_logprob_difference_max"] == pytest.approx(difference.abs().max().item())
    assert metrics["sampler_kl"] > 0.05


def test_explained_variance_is_one_for_perfect_values(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    rollout = rollout_of(roles_of(make_policy(LORA, with_values=True), tokenizer), settings, compute)
    perfect = rollout_metrics(hand_rollout(rollout, old_values=rollout.returns))
    assert perfect["explained_variance"] == pytest.approx(1.0, abs=1e-6)
    inverted = rollout_metrics(hand_rollout(rollout, old_values=-rollout.returns))
    assert inverted["explained_variance"] == pytest.approx(-3.0, abs=1e-4)


def rewards_of(rollout: Rollout) -> Tensor:
    """Sums of rewards: with gamma and lambda 1 and values 0, the advantage of the first token."""
    return rollout.advantages[:, 0]


def plain_rollout(make_policy: PolicyMaker, tokenizer, settings: Ppo, compute: Compute, **changes: Any) -> Rollout:
    plan = changed(settings, **{"whiten_advantages": False, "lam": 1.0, "kl_coef": 0.0} | changes)
    return rollout_of(roles_of(make_policy(LORA, with_values=True), tokenizer), plan, compute)


def test_unfinished_responses_are_penalised_and_scores_are_reported_as_they_were(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    plain = plain_rollout(make_policy, tokenizer, settings, compute)
    paid = plain_rollout(make_policy, tokenizer, settings, compute, unfinished="replace", unfinished_penalty=7.0)
    assert torch.equal(paid.scores, plain.scores)
    assert not bool(plain.finished.all())
    assert torch.equal(rewards_of(paid), torch.where(paid.finished, plain.scores, -7.0))


def test_scores_are_normalised_then_clipped(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    found = plain_rollout(make_policy, tokenizer, settings, compute, normalize_scores=True, score_clip=0.5)
    centred = (found.scores - found.scores.mean()) / found.scores.std(unbiased=False)
    assert torch.allclose(rewards_of(found), centred.clamp(-0.5, 0.5), atol=1e-5)
    assert bool((centred.abs() > 0.5).any())


@pytest.mark.parametrize(("mode", "mean"), [("scale", None), ("shift_and_scale", 0.0)])
def test_rewards_are_whitened_with_or_without_their_mean(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    mode: str,
    mean: float | None,
) -> None:
    # with gamma 0 the advantages of zero values are the rewards
    found = plain_rollout(make_policy, tokenizer, settings, compute, gamma=0.0, whiten_rewards=mode)
    plain = plain_rollout(make_policy, tokenizer, settings, compute, gamma=0.0)
    mask = found.batch.response_mask
    assert found.advantages[mask].std(unbiased=False).item() == pytest.approx(1.0, abs=1e-3)
    expected = plain.advantages[mask].mean().item() if mean is None else mean
    assert found.advantages[mask].mean().item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_the_penalty_uses_the_estimator_and_the_coefficient_of_the_iteration(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute, estimator: str
) -> None:
    policy = adapted(make_policy)
    plan = changed(settings, whiten_advantages=False, gamma=0.0, kl_estimator=estimator)
    rollout = rollout_of(roles_of(policy, tokenizer), plan, compute, kl_coef=0.3)
    log_ratio = rollout.old_logprobs - rollout.ref_logprobs
    by_name = {"k1": log_ratio, "k2": log_ratio**2 / 2, "k3": torch.exp(-log_ratio) - 1 + log_ratio}
    inner = rollout.batch.response_mask.clone()
    inner[torch.arange(len(inner)), inner.sum(1) - 1] = False
    assert torch.allclose(rollout.advantages[inner], -0.3 * by_name[estimator][inner], atol=1e-5)
    assert rollout.advantages[inner].abs().max() > 1e-3


def test_the_reward_model_is_told_which_responses_ended(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    read: list[Passage] = []

    def score(passages: Sequence[Passage]) -> Tensor:
        read.extend(passages)
        return torch.tensor([float(one.ended) for one in passages])

    policy = make_policy(LORA, with_values=True)
    # ids that EOS alone would miss: the model's own generation_config.json names them
    policy.causal_lm.generation_config.eos_token_id = list(range(20, 60))
    rollout = rollout_of(roles_of(policy, tokenizer, score=score), settings, compute)
    assert [one.ended for one in read] == rollout.finished.tolist()
    last = rollout.batch.response_mask.sum(1) - 1
    tokens = rollout.batch.response_ids[torch.arange(len(last)), last]
    others = rollout.finished & (tokens != tokenizer.eos_token_id)
    assert bool(others.any()) and not bool(rollout.finished.all())
    assert torch.equal(rollout.scores, rollout.finished.float())
