"""PPO's update: epochs of minibatches over the episodes of one rollout."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline import group
from pipeline.data.tokens import ResponseBatch, batched
from pipeline.errors import PipelineError
from pipeline.objectives.masked import masked_mean
from pipeline.objectives.ppo import clipped_policy_loss, clipped_value_loss, truncated_importance_weights
from pipeline.params.optimize import Ppo
from pipeline.training.rollout import PpoSetup, Rollout, forward_batches
from pipeline.training.schedule import Optimization, mean_of, shared_out


@dataclass
class _Minibatch:
    """Indices of one optimiser step, in forward batches."""

    forwards: list[list[int]]
    tokens: int


def update_policy(
    setup: PpoSetup,
    optimization: Optimization,
    rollout: Rollout,
    orders: Sequence[Sequence[int]],
    *,
    check_ratio: bool,
    critic_only: bool,
) -> dict[str, float]:
    """Update the policy and its critic from one rollout.

    The losses are means over the response tokens of a whole minibatch, however many forward passes it takes.
    A minibatch whose approximate KL exceeds `target_kl_per_update`, or whose largest ratio exceeds `max_ratio`, is not
    learned from, nor is the rest of the rollout.

    Args:
        orders: a permutation of the episodes for each epoch.
        check_ratio: assert that the first minibatch, which nothing has changed yet, has ratio 1.
        critic_only: the policy stays as it is.

    Returns:
        Means over the minibatches that were looked at: `policy_loss`, `value_loss`, `clip_fraction`, `approximate_kl`
        (nats per token); their largest `ratio_max`; `updates`, the number of optimiser steps; the means over these of
        the policy's `grad_norm` and, with a critic, of `critic_grad_norm`; `learning_rate`.
    """
    settings = setup.settings
    rows: list[dict[str, float]] = []
    norms: list[dict[str, float]] = []
    learning_rate = optimization.learning_rate
    for minibatch in _minibatches(setup, rollout, orders):
        rows.append(_backward(setup, optimization, rollout, minibatch, critic_only))
        if check_ratio and len(rows) == 1:
            check_first_ratio(rows[0], precise=setup.compute.dtype == torch.float32)
        if _moved_too_far(rows[-1], settings):
            optimization.optimizer.zero_grad(set_to_none=True)
            break
        norms.append(optimization.step())
    for _ in range(settings.num_ppo_epochs * settings.num_minibatches - len(norms)):
        optimization.scheduler.step()  # the schedule follows the episodes, not the updates done
    largest = max(row.pop("ratio_max") for row in rows)
    return {
        **mean_of(rows),
        "ratio_max": largest,
        **(mean_of(norms) if norms else dict.fromkeys(optimization.clipped, 0.0)),
        "updates": len(norms),
        "learning_rate": learning_rate,
    }


def _moved_too_far(row: dict[str, float], settings: Ppo) -> bool:
    return row["approximate_kl"] > settings.target_kl_per_update or (
        settings.max_ratio is not None and row["ratio_max"] > settings.max_ratio
    )


def _backward(
    setup: PpoSetup, optimization: Optimization, rollout: Rollout, minibatch: _Minibatch, critic_only: bool
) -> dict[str, float]:
    """Gradients of this process's forward passes of one minibatch, and the metrics of all."""
    roles, settings, compute = setup.roles, setup.settings, setup.compute
    rows: list[dict[str, float]] = []
    for indices in group.dealt(minibatch.forwards):
        index = torch.tensor(indices, device=compute.device)
        batch = rollout.batch.rows(index)
        with compute.accelerator.autocast():
            output = roles.policy(batch, temperature=setup.sampling.temperature, with_entropy=settings.entropy_coef > 0)
            values = roles.critic(batch) if roles.critic is not None else output.values
        surrogate = clipped_policy_loss(
            logprobs=output.logprobs,
            old_logprobs=rollout.old_logprobs[index],
            advantages=rollout.advantages[index],
            response_mask=batch.response_mask,
            cliprange=settings.cliprange,
            importance_weights=_importance_weights(rollout, index, batch, settings),
        )
        value_loss = _value_loss(values, rollout, index, batch, settings)
        loss = settings.vf_coef * value_loss
        if not critic_only:
            loss = loss + surrogate.loss
            if output.entropy is not None:
                loss = loss - settings.entropy_coef * masked_mean(output.entropy, batch.response_mask)
        # the losses are means over this forward's tokens; its share makes their sum the minibatch's mean
        share = int(batch.response_mask.sum()) / minibatch.tokens
        optimization.backward(loss * share)
        row = {
            "policy_loss": share * surrogate.loss.item(),
            "value_loss": share * value_loss.item(),
            "clip_fraction": share * surrogate.clip_fraction.item(),
            "approximate_kl": share * surrogate.approximate_kl.item(),
            "ratio_max": surrogate.ratio_max.item(),
        }
        rows.append(row)
    return _of_minibatch(group.gathered(rows))


def _of_minibatch(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Sums of the shares of its forward passes, and their largest ratio: the same in every process."""
    totals = dict.fromkeys(("policy_loss", "value_loss", "clip_fraction", "approximate_kl"), 0.0)
    for row in rows:
        for name in totals:
            totals[name] += row[name]
    return {**totals, "ratio_max": max(0.0, *(row["ratio_max"] for row in rows))}


def _importance_weights(rollout: Rollout, index: Tensor, batch: ResponseBatch, settings: Ppo) -> Tensor | None:
    if settings.importance_truncation is None:
        return None
    return truncated_importance_weights(
        old_logprobs=rollout.old_logprobs[index],
        sampler_logprobs=rollout.sampler_logprobs[index],
        response_mask=batch.response_mask,
        truncation=settings.importance_truncation,
    )


def _value_loss(values: Tensor | None, rollout: Rollout, index: Tensor, batch: ResponseBatch, settings: Ppo) -> Tensor:
    if values is None:
        return torch.zeros((), device=index.device)
    return clipped_value_loss(
        values=values,
        old_values=rollout.old_values[index],
        returns=rollout.returns[index],
        response_mask=batch.response_mask,
        cliprange_value=settings.cliprange_value,
    )


def _minibatches(setup: PpoSetup, rollout: Rollout, orders: Sequence[Sequence[int]]) -> Iterator[_Minibatch]:
    settings = setup.settings
    size = settings.rollout_batch_size // settings.num_minibatches
    lengths = rollout.batch.response_mask.sum(1).tolist()
    for order in orders:
        for episodes in batched(order, size):
            forwards = forward_batches(rollout.batch, episodes, settings, setup.compute)
            forwards = shared_out(forwards, group.size())
            yield _Minibatch(forwards, tokens=sum(lengths[episode] for episode in episodes))


def check_first_ratio(row: dict[str, float], *, precise: bool) -> None:
    """Nothing has been updated yet, so the policy is the one that sampled: ratio 1, KL 0, up to rounding.

    Raises:
        PipelineError: the ratio or the KL is further off than rounding explains.
    """
    tolerance = 1e-6 if precise else 5e-3
    if row["approximate_kl"] > tolerance:
        raise PipelineError(
            f"before any update PPO's ratio is not 1 (largest {row['ratio_max']:.3f}, approximate KL "
            f"{row['approximate_kl']:.2e} nats a token): log-probs of the rollout and of the update disagree. "
            "Set runtime.precision to fp32 to see whether rounding is the cause, and report it if not."
        )
