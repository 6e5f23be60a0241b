"""Proximal Policy Optimization of a language model against a reward model.

The steps are numbered as in Huang et al. 2024, "The N+ Implementation Details of RLHF with PPO"
(arXiv:2403.17031), and Ziegler et al. 2019 (arXiv:1909.08593).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase, get_linear_schedule_with_warmup

from pipeline.data.tokens import batched
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.objectives.ppo import clipped_policy_loss, clipped_value_loss
from pipeline.params.schema import Ppo, Sampling
from pipeline.progress import progress_bar
from pipeline.seeding import python_random, torch_generator
from pipeline.training.rollout import Rollout, Scorer, by_length, collect_rollout, rollout_metrics
from pipeline.training.schedule import Optimization, checkpoint_steps, mean_of, trainable_parameters


def train_ppo(
    policy: Policy,
    reference: Policy | None,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    score: Scorer,
    settings: Ppo,
    sampling: Sampling,
    compute: Compute,
    *,
    seed: int,
    on_step: Callable[[int, dict[str, float]], None],
    on_tokens: Callable[[int, float], None],
    on_checkpoint: Callable[[int], None],
) -> None:
    """Train in place; one iteration is one rollout and the update from it.

    Args:
        policy: with a value head.
        reference: a frozen copy of the start; None when `policy` has adapters, which are switched off instead.
        score: the frozen reward model, from texts to scores (N,).
        on_step: called with the iteration (1-based) and the metrics of `rollout_metrics` and `update_policy`.
        on_tokens: called with the tokens of an iteration's episodes and its seconds.
        on_checkpoint: called at `frontier_checkpoints` evenly spaced iterations, after the update.

    Raises:
        PipelineError: the first ratio is not 1, or a loss is not finite.
    """
    iterations = settings.total_episodes // settings.rollout_batch_size
    keep = checkpoint_steps(iterations, settings.frontier_checkpoints)
    optimization = _optimization(policy, settings, compute, iterations)
    stream = prompt_stream(prompts, seed=seed)
    generator = torch_generator(seed, "ppo/rollout", compute.device)
    rng = python_random(seed, "ppo/minibatches")
    with progress_bar(total=settings.total_episodes, title="PPO", unit="episode") as bar:
        for iteration in range(1, iterations + 1):
            start = time.perf_counter()
            # 1. sample responses, score them, and compute old log-probs, values, KL-shaped rewards and advantages
            batch_prompts = [next(stream) for _ in range(settings.rollout_batch_size)]
            rollout = collect_rollout(
                policy, reference, tokenizer, batch_prompts, score, settings, sampling, compute, generator
            )
            metrics = rollout_metrics(rollout)
            # 2. several epochs of minibatch updates on the same episodes, reshuffled each epoch
            orders = [rng.sample(range(len(batch_prompts)), len(batch_prompts)) for _ in range(settings.num_ppo_epochs)]
            metrics |= update_policy(
                policy, optimization, rollout, orders, settings, sampling, compute, check_ratio=iteration == 1
            )
            on_step(iteration, metrics)
            on_tokens(int(rollout.batch.attention_mask.sum()), time.perf_counter() - start)
            bar.set_postfix(score=f"{metrics['score']:.2f}", kl=f"{metrics['kl_k1']:.2f}")
            bar.update(len(batch_prompts))
            if metrics["kl_k1"] > settings.max_kl:
                bar.write(f"PPO stops early: KL {metrics['kl_k1']:.1f} nats exceeds max_kl {settings.max_kl}")
                break
            if iteration in keep:
                on_checkpoint(iteration)


@dataclass
class _Minibatch:
    """Indices of one optimiser step, in forward batches."""

    forwards: list[list[int]]
    tokens: int


def update_policy(
    policy: Policy,
    optimization: Optimization,
    rollout: Rollout,
    orders: Sequence[Sequence[int]],
    settings: Ppo,
    sampling: Sampling,
    compute: Compute,
    *,
    check_ratio: bool,
) -> dict[str, float]:
    """Update the policy and its values from one rollout.

    The losses are means over the response tokens of a whole minibatch, however many forward passes it takes.
    The rest of the rollout is skipped once the approximate KL of a minibatch exceeds `target_kl_per_update`.

    Args:
        orders: a permutation of the episodes for each epoch.
        check_ratio: assert that the first minibatch, which nothing has changed yet, has ratio 1.

    Returns:
        Means over the minibatches done: `policy_loss`, `value_loss`, `clip_fraction`, `approximate_kl` (nats per
        token), `grad_norm`; the largest `ratio_max`; `updates`, the number of optimiser steps; `learning_rate`.
    """
    rows: list[dict[str, float]] = []
    learning_rate = optimization.learning_rate
    for minibatch in _minibatches(rollout, orders, settings):
        row = _minibatch_backward(policy, optimization, rollout, minibatch, settings, sampling, compute)
        if check_ratio and not rows:
            _check_first_ratio(row, precise=compute.dtype == torch.float32)
        row["grad_norm"] = optimization.step()
        rows.append(row)
        if row["approximate_kl"] > settings.target_kl_per_update:
            break
    for _ in range(settings.num_ppo_epochs * settings.num_minibatches - len(rows)):
        optimization.scheduler.step()  # the schedule follows the episodes, not the updates done
    largest = max(row.pop("ratio_max") for row in rows)
    return {**mean_of(rows), "ratio_max": largest, "updates": len(rows), "learning_rate": learning_rate}


def _minibatch_backward(
    policy: Policy,
    optimization: Optimization,
    rollout: Rollout,
    minibatch: _Minibatch,
    settings: Ppo,
    sampling: Sampling,
    compute: Compute,
) -> dict[str, float]:
    totals = dict.fromkeys(("policy_loss", "value_loss", "clip_fraction", "approximate_kl"), 0.0)
    ratio_max = 0.0
    for indices in minibatch.forwards:
        index = torch.tensor(indices, device=compute.device)
        batch = rollout.batch.rows(index)
        with compute.accelerator.autocast():
            output = policy(batch, temperature=sampling.temperature)
        surrogate = clipped_policy_loss(
            logprobs=output.logprobs,
            old_logprobs=rollout.old_logprobs[index],
            advantages=rollout.advantages[index],
            response_mask=batch.response_mask,
            cliprange=settings.cliprange,
        )
        value_loss = clipped_value_loss(
            values=output.values,
            old_values=rollout.old_values[index],
            returns=rollout.returns[index],
            response_mask=batch.response_mask,
            cliprange_value=settings.cliprange_value,
        )
        # the losses are means over this forward's tokens; its share makes their sum the minibatch's mean
        share = int(batch.response_mask.sum()) / minibatch.tokens
        optimization.backward((surrogate.loss + settings.vf_coef * value_loss) * share)
        totals["policy_loss"] += share * surrogate.loss.item()
        totals["value_loss"] += share * value_loss.item()
        totals["clip_fraction"] += share * surrogate.clip_fraction.item()
        totals["approximate_kl"] += share * surrogate.approximate_kl.item()
        ratio_max = max(ratio_max, surrogate.ratio_max.item())
    return {**totals, "ratio_max": ratio_max}


def _minibatches(rollout: Rollout, orders: Sequence[Sequence[int]], settings: Ppo) -> Iterator[_Minibatch]:
    size = settings.rollout_batch_size // settings.num_minibatches
    lengths = rollout.batch.response_mask.sum(1).tolist()
    for order in orders:
        for episodes in batched(order, size):
            forwards = list(batched(by_length(rollout.batch, episodes), settings.per_device_train_batch_size))
            yield _Minibatch(forwards, tokens=sum(lengths[episode] for episode in episodes))


def prompt_stream(prompts: Sequence[str], *, seed: int) -> Iterator[str]:
    """Endless prompts: every prompt once, in a new order each pass.

    Raises:
        ValueError: there are no prompts.
    """
    if not prompts:
        raise ValueError("PPO needs prompts, and there are none")
    rng = python_random(seed, "ppo/prompts")
    while True:
        yield from rng.sample(list(prompts), len(prompts))


def _optimization(policy: Policy, settings: Ppo, compute: Compute, iterations: int) -> Optimization:
    """Adam with separate learning rates for the policy and its value head, both decaying linearly to 0."""
    if policy.value_head is None:
        raise TypeError("PPO needs a policy with a value head")
    values = list(policy.value_head.parameters())
    parameters = trainable_parameters(policy)
    others = [parameter for parameter in parameters if all(parameter is not value for value in values)]
    groups = [
        {"params": others, "lr": settings.learning_rate},
        {"params": values, "lr": settings.value_learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, eps=settings.adam_epsilon, weight_decay=0.0)
    steps = iterations * settings.num_ppo_epochs * settings.num_minibatches
    scheduler = get_linear_schedule_with_warmup(optimizer, 0, steps)
    return Optimization(compute.accelerator, optimizer, scheduler, parameters, settings.max_grad_norm)


def _check_first_ratio(row: dict[str, float], *, precise: bool) -> None:
    """Nothing has been updated yet, so the policy is the one that sampled: ratio 1, KL 0, up to rounding."""
    tolerance = 1e-6 if precise else 5e-3
    if row["approximate_kl"] > tolerance:
        raise PipelineError(
            f"before any update PPO's ratio is not 1 (largest {row['ratio_max']:.3f}, approximate KL "
            f"{row['approximate_kl']:.2e} nats a token): log-probs of the rollout and of the update disagree. "
            "Set runtime.precision to fp32 to see whether rounding is the cause, and report it if not."
        )
