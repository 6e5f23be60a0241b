"""Optimiser, learning-rate schedule and batches, the same for every trainer on a fixed data set."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import get_scheduler

from pipeline import group
from pipeline.data.tokens import ForwardLimit
from pipeline.errors import PipelineError
from pipeline.params.base import LearningRateSchedule, SupervisedSchedule, SupervisedTraining
from pipeline.seeding import python_random
from pipeline.training.optimizer import make_optimizer


def plan_batches(
    lengths: Sequence[int], schedule: SupervisedSchedule, *, seed: int, name: str, limit: ForwardLimit | None = None
) -> list[list[list[int]]]:
    """Which examples each optimiser step sees: steps of forward batches of indices.

    Every epoch is reshuffled. Within a window of 16 batches examples are sorted by length, which keeps the order
    random and the padding small; the batches of a window are shuffled again, so that length does not trend.

    Args:
        lengths: tokens of each example.
        schedule: epochs, batch size and accumulation. The last step of an epoch may be smaller, never dropped.
        limit: a larger batch goes through the network in parts; None never splits. Trainers weigh losses by the whole
            optimiser step, so parts add up to the same gradients.
    """
    size = schedule.per_device_train_batch_size
    rng = python_random(seed, f"{name}/shuffle")
    steps: list[list[list[int]]] = []
    for _ in range(schedule.num_train_epochs):
        order = list(range(len(lengths)))
        rng.shuffle(order)
        batches: list[list[int]] = []
        for start in range(0, len(order), 16 * size):
            window = sorted(order[start : start + 16 * size], key=lambda index: lengths[index])
            cut = [window[at : at + size] for at in range(0, len(window), size)]
            rng.shuffle(cut)
            batches += cut
        accumulate = schedule.gradient_accumulation_steps
        steps += [batches[at : at + accumulate] for at in range(0, len(batches), accumulate)]
    if limit is None:
        return steps
    return [[part for batch in step for part in limit.parts(batch, lengths)] for step in steps]


def shared_out(forwards: Sequence[Sequence[int]], processes: int) -> list[list[int]]:
    """The forward batches of an optimiser step, so many that each process has one where there are examples enough.

    The largest is halved until there are; the order of the examples stays.

    Args:
        forwards: indices of examples, one list a forward pass.
        processes: those that share them.
    """
    parts = [list(forward) for forward in forwards]
    while len(parts) < processes and (largest := max(map(len, parts), default=0)) > 1:
        at = next(index for index, part in enumerate(parts) if len(part) == largest)
        middle = (largest + 1) // 2
        parts[at : at + 1] = [parts[at][:middle], parts[at][middle:]]
    return parts


def check_shares(examples: int, processes: int, *, name: str, keys: str) -> None:
    """Each process has something to do in a whole optimiser step.

    Args:
        examples: of a whole step.
        processes: those that share them.
        name: of the training.
        keys: of params.yaml, which say how many examples a step has.

    Raises:
        PipelineError: there are more processes than examples.
    """
    if examples < processes:
        raise PipelineError(
            f"{name}: a step of {examples} examples is not enough for {processes} processes. Raise {keys}, or lower "
            "launch.processes."
        )


def supervised_steps(examples: int, schedule: SupervisedSchedule) -> int:
    """Optimiser steps that `plan_batches` gives."""
    batches = math.ceil(examples / schedule.per_device_train_batch_size)
    return schedule.num_train_epochs * math.ceil(batches / schedule.gradient_accumulation_steps)


@dataclass
class Optimization:
    """An optimiser with its schedule, and one `step` that guards against non-finite values."""

    accelerator: Accelerator
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    clipped: dict[str, list[nn.Parameter]]
    """Parameters whose gradients share a norm, under the name that the norm has in the metrics."""
    max_grad_norm: float

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients.

        Raises:
            PipelineError: the loss is NaN or infinite; nothing has been updated with it.
        """
        if not bool(torch.isfinite(loss)):
            raise PipelineError(
                f"the loss is {loss.item()}: training has diverged. Lower the learning rate, or set "
                "runtime.precision to fp32."
            )
        self.accelerator.backward(loss)

    def step(self) -> dict[str, float]:
        """Clip, update, advance the schedule; returns the gradient norm of each group before clipping.

        Where several processes train together, the gradients of all their forward passes are added up before: all
        processes have to call it, and all make the same step.

        Raises:
            PipelineError: a norm is NaN or infinite; nothing has been updated with it.
        """
        if group.size() > 1:
            self._add_up_gradients()
        norms = {name: self._clip(parameters) for name, parameters in self.clipped.items()}
        if not all(map(math.isfinite, norms.values())):
            raise PipelineError("the gradient norm is not finite: training has diverged. Lower the learning rate.")
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norms

    def _add_up_gradients(self) -> None:
        """Sums, not means: losses are divided by the numbers of the whole step, whoever computes them."""
        parameters = [parameter for those in self.clipped.values() for parameter in those]
        # a weight without gradient stays as it is, whatever its moments, unless another process has one for it
        learned = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int32)
        learned = learned.to(parameters[0].device)
        group.add_up([learned])
        moving = [parameter for parameter, count in zip(parameters, learned.tolist(), strict=True) if count]
        for parameter in moving:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        group.add_up([parameter.grad for parameter in moving if parameter.grad is not None])

    def _clip(self, parameters: list[nn.Parameter]) -> float:
        norm = self.accelerator.clip_grad_norm_(parameters, self.max_grad_norm)
        return math.nan if norm is None else float(norm)

    @property
    def learning_rate(self) -> float:
        return float(self.scheduler.get_last_lr()[0])


def supervised_optimization(
    model: nn.Module, schedule: SupervisedTraining, accelerator: Accelerator, *, total_steps: int
) -> Optimization:
    """AdamW with `learning_rate_schedule` over `total_steps`."""
    parameters = trainable_parameters(model)
    optimizer = make_optimizer(
        parameters, schedule.optimizer, lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    scheduler = learning_rate_schedule(
        optimizer, schedule.lr_scheduler_type, warmup_ratio=schedule.warmup_ratio, total_steps=total_steps
    )
    return Optimization(accelerator, optimizer, scheduler, {"grad_norm": parameters}, schedule.max_grad_norm)


def learning_rate_schedule(
    optimizer: torch.optim.Optimizer, kind: LearningRateSchedule, *, warmup_ratio: float, total_steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The rate of each group rises linearly from 0 in the first steps, then falls to 0, or stays.

    Args:
        kind: linear and cosine fall to 0 over `total_steps`, cosine as half a period; constant stays. They are
            transformers' schedules, constant its `constant_with_warmup`.
        warmup_ratio: share of the steps that rise.
    """
    name = "constant_with_warmup" if kind == "constant" else kind
    warmup = round(warmup_ratio * total_steps)
    return get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=total_steps)


def evaluation_steps(total_steps: int, schedule: SupervisedTraining) -> list[int]:
    """Steps, 1-based, after which the validation set is read: none, those that end an epoch, or every so many.

    With `eval_steps` the last step is one of them, so that every run ends with figures of what it has trained.
    """
    if schedule.eval_steps == 0:
        return []
    every = total_steps // schedule.num_train_epochs if schedule.eval_steps == "epoch" else schedule.eval_steps
    return sorted({*range(every, total_steps + 1, every), total_steps})


def evaluation_batches(lengths: Sequence[int], size: int, limit: ForwardLimit | None) -> list[list[int]]:
    """Every example once, in forward batches of similar length.

    Args:
        lengths: tokens of each example.
        size: examples of a batch.
        limit: as of `plan_batches`.
    """
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    whole = [order[at : at + size] for at in range(0, len(order), size)]
    return whole if limit is None else [part for batch in whole for part in limit.parts(batch, lengths)]


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Parameters with a gradient."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def checkpoint_steps(total_steps: int, every: int) -> list[int]:
    """Steps, 1-based, at which to keep a checkpoint; none for 0, and never the last step, which is kept anyway."""
    return list(range(every, total_steps, every)) if every else []


def mean_of(metrics: Iterable[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over rows that all have it."""
    rows = list(metrics)
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
