"""Batches: every example once an epoch, in an order that only the seed decides; evenly spaced checkpoints."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.data.tokens import ForwardLimit
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.params.base import SupervisedTraining
from pipeline.params.schema import Params
from pipeline.training.schedule import (
    Optimization,
    checkpoint_steps,
    evaluation_batches,
    evaluation_steps,
    mean_of,
    plan_batches,
    supervised_optimization,
    supervised_steps,
    trainable_parameters,
)


def schedule(**changes: Any) -> SupervisedTraining:
    return SupervisedTraining(
        **{
            "learning_rate": 0.1,
            "warmup_ratio": 0.25,
            "num_train_epochs": 1,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 1,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "lr_scheduler_type": "linear",
            "eval_steps": 0,
            "early_stopping_patience": None,
        }
        | changes
    )


LENGTHS = [(7 * i) % 23 + 1 for i in range(150)]


@pytest.mark.parametrize(("size", "accumulation"), [(4, 1), (4, 3), (7, 2), (200, 1), (1, 8)])
def test_every_example_is_seen_exactly_once_an_epoch(size: int, accumulation: int) -> None:
    plan = schedule(num_train_epochs=3, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation)
    steps = plan_batches(LENGTHS, plan, seed=0, name="test")
    per_epoch = len(steps) // 3
    assert len(steps) == 3 * per_epoch
    for epoch in range(3):
        seen = [i for batches in steps[epoch * per_epoch : (epoch + 1) * per_epoch] for batch in batches for i in batch]
        assert sorted(seen) == list(range(150))
    assert all(len(batch) <= size for batches in steps for batch in batches)
    assert all(1 <= len(batches) <= accumulation for batches in steps)


def test_a_batch_over_the_limit_is_split_and_nothing_is_lost() -> None:
    whole = plan_batches(LENGTHS, schedule(), seed=0, name="test")
    split = plan_batches(LENGTHS, schedule(), seed=0, name="test", limit=ForwardLimit(30, 30))
    assert [sorted(i for batch in step for i in batch) for step in split] == [sorted(step[0]) for step in whole]
    parts = [part for step in split for part in step]
    assert all(len(part) * max(LENGTHS[i] for i in part) <= 30 for part in parts)


def test_the_order_follows_seed_and_name() -> None:
    plan = schedule(num_train_epochs=2)
    first = plan_batches(LENGTHS, plan, seed=0, name="dpo")
    assert first == plan_batches(LENGTHS, plan, seed=0, name="dpo")
    assert first != plan_batches(LENGTHS, plan, seed=1, name="dpo")
    assert first != plan_batches(LENGTHS, plan, seed=0, name="sft")
    assert first[: len(first) // 2] != first[len(first) // 2 :], "the second epoch is not reshuffled"


def test_batches_hold_similar_lengths_but_lengths_do_not_trend() -> None:
    lengths = list(range(1, 513))
    steps = plan_batches(lengths, schedule(per_device_train_batch_size=8), seed=0, name="test")
    batches = [[lengths[i] for i in batch] for (batch,) in steps]
    spread = sum(max(batch) - min(batch) for batch in batches) / len(batches)
    assert spread < 512 / 8, "shuffled batches of 8 would spread over 7/9 of the range"
    longest_first = [sum(batch) for batch in batches[:16]]
    assert longest_first not in (sorted(longest_first), sorted(longest_first, reverse=True))


def test_no_examples_give_no_steps() -> None:
    assert plan_batches([], schedule(), seed=0, name="test") == []


@pytest.mark.parametrize(
    ("total", "every", "steps"),
    [(12, 3, [3, 6, 9]), (12, 0, []), (10, 4, [4, 8]), (2, 1, [1]), (1, 1, []), (0, 3, []), (5, 9, [])],
)
def test_checkpoints_are_every_so_many_steps_and_leave_the_last_one_out(
    total: int, every: int, steps: list[int]
) -> None:
    assert checkpoint_steps(total, every) == steps


@pytest.mark.parametrize("examples", [1, 7, 8, 64, 65, 200])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_number_of_steps_is_that_of_the_plan(examples: int, accumulate: int) -> None:
    settings = schedule(gradient_accumulation_steps=accumulate, num_train_epochs=2)
    plan = plan_batches([1] * examples, settings, seed=0, name="test")
    assert supervised_steps(examples, settings) == len(plan)


def test_learning_rate_warms_up_and_decays_to_zero(compute: Compute) -> None:
    model = nn.Linear(2, 1)
    optimization = supervised_optimization(model, schedule(), compute.accelerator, total_steps=8)
    # two steps of warm-up, then six down to 0 after the last
    assert rates_of(optimization) == pytest.approx(
        [0.0, 0.05, 0.1, 0.1 * 5 / 6, 0.1 * 4 / 6, 0.05, 0.1 * 2 / 6, 0.1 / 6, 0.0]
    )


def rates_of(optimization: Optimization) -> list[float]:
    """Of eight steps, and what the ninth would have."""
    rates = []
    for _ in range(8):
        rates.append(optimization.learning_rate)
        parameters = optimization.clipped["grad_norm"]
        optimization.backward(torch.stack([parameter.sum() for parameter in parameters]).sum())
        optimization.step()
    return [*rates, optimization.learning_rate]


AFTER_WARM_UP = {
    "cosine": [0.05 * (1 + math.cos(math.pi * step / 6)) for step in range(7)],
    "constant": [0.1] * 7,
}


@pytest.mark.parametrize("kind", AFTER_WARM_UP)
def test_other_schedules_follow_the_same_warm_up(compute: Compute, kind: str) -> None:
    plan = schedule(lr_scheduler_type=kind)
    optimization = supervised_optimization(nn.Linear(2, 1), plan, compute.accelerator, total_steps=8)
    assert rates_of(optimization) == pytest.approx([0.0, 0.05, *AFTER_WARM_UP[kind]])


@pytest.mark.parametrize(
    ("eval_steps", "steps"),
    [(0, []), (1, [1, 2, 3, 4, 5, 6]), (4, [4, 6]), (3, [3, 6]), (9, [6]), ("epoch", [2, 4, 6])],
)
def test_validation_is_read_every_so_many_steps_and_at_the_end(eval_steps: int | str, steps: list[int]) -> None:
    assert evaluation_steps(6, schedule(num_train_epochs=3, eval_steps=eval_steps)) == steps


def test_validation_batches_hold_every_example_once_in_parts_of_similar_length() -> None:
    batches = evaluation_batches(LENGTHS, 4, ForwardLimit(30, 30))
    assert sorted(index for batch in batches for index in batch) == list(range(150))
    assert all(len(batch) <= 4 and len(batch) * max(LENGTHS[i] for i in batch) <= 30 for batch in batches)
    longest = [max(LENGTHS[i] for i in batch) for batch in evaluation_batches(LENGTHS, 4, None)]
    assert longest == sorted(longest) and len(longest) == 38


def test_stopping_early_without_a_validation_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="set eval_steps, too"):
        schedule(early_stopping_patience=2)


def test_the_norm_is_that_before_clipping_and_gradients_are_used_up(compute: Compute) -> None:
    model = nn.Linear(2, 1, bias=False)
    optimization = supervised_optimization(
        model, schedule(warmup_ratio=0.0, max_grad_norm=0.5), compute.accelerator, total_steps=2
    )
    optimization.backward((model.weight * torch.tensor([[3.0, 4.0]])).sum())
    assert optimization.step() == {"grad_norm": pytest.approx(5.0)}
    assert model.weight.grad is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_any_update(compute: Compute, value: float) -> None:
    model = nn.Linear(1, 1)
    before = model.weight.item()
    optimization = supervised_optimization(model, schedule(), compute.accelerator, total_steps=2)
    with pytest.raises(PipelineError, match="diverged"):
        optimization.backward(model(torch.ones(1)).sum() * value)
    assert model.weight.item() == before


def test_a_gradient_that_is_not_finite_stops_before_any_update(compute: Compute) -> None:
    model = nn.Linear(1, 1, bias=False)
    before = model.weight.item()
    optimization = supervised_optimization(model, schedule(warmup_ratio=0.0), compute.accelerator, total_steps=2)
    model.weight.grad = torch.full_like(model.weight, float("inf"))
    with pytest.raises(PipelineError, match="gradient norm"):
        optimization.step()
    assert model.weight.item() == before


def test_frozen_parameters_are_left_to_no_optimiser() -> None:
    model = nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    assert [parameter is model.weight for parameter in trainable_parameters(model)] == [True]


def test_mean_of_rows() -> None:
    assert mean_of([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]) == {"a": 2.0, "b": 3.0}


def test_the_repositorys_sections_are_schedules(params: Params) -> None:
    for section in (params.train_sft, params.train_reward, params.optimize.dpo):
        assert plan_batches([1] * 10, section, seed=params.seed, name="test")
