"""The loop of every trainer on a fixed data set: SFT, the reward model, DPO."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from pipeline import group
from pipeline.errors import PipelineError
from pipeline.params.base import SupervisedTraining
from pipeline.progress import progress_bar
from pipeline.resume import State
from pipeline.training.early_stopping import EarlyStopping
from pipeline.training.resuming import restore_training, training_state
from pipeline.training.run import TrainingRun
from pipeline.training.saving import StateSaver
from pipeline.training.schedule import (
    Optimization,
    check_shares,
    checkpoint_steps,
    evaluation_steps,
    plan_batches,
    shared_out,
    supervised_optimization,
)

Batches = Sequence[Sequence[int]]
"""Examples of one optimiser step, by index: one list a forward pass."""
_SHOWN = {"loss": ".3f", "accuracy": ".2f"}
"""Metrics beside the progress bar, and how they are written."""


class Objective(ABC):
    """What a trainer learns: the loss of a step, and what else happens at it."""

    name: str
    """Of its random generators."""
    title: str
    """Of its progress bar."""
    validation_size: int = 0
    """Examples of the validation set."""

    @abstractmethod
    def backward(self, batches: Batches, optimization: Optimization, *, step: int) -> dict[str, float]:
        """Accumulate the gradients of an optimiser step: of those forward passes that are dealt to this process.

        Args:
            batches: all of the step, so that losses are divided by its whole size, whoever computes them.

        Returns:
            Metrics of the whole step, the same in every process, `loss` among them.
        """

    def updated(self, step: int) -> dict[str, float]:
        """Do what follows an update; returns metrics that only some steps have."""
        return {}

    def evaluate(self) -> dict[str, float]:
        """Means over the validation set, which nothing is learned from, `loss` among them; without gradient.

        The loop puts `validation_` before their names. It asks for them where `validation_size` is not 0.
        """
        raise NotImplementedError

    def state(self) -> State:
        """What the steps to come depend on, besides weights, optimiser and schedule."""
        return {}

    def restore(self, state: State) -> None:  # noqa: B027 - most objectives have nothing to take back
        """Take back what `state` gave; at the start of a run there is nothing of it."""


def train_supervised(
    model: nn.Module,
    objective: Objective,
    lengths: Sequence[int],
    schedule: SupervisedTraining,
    run: TrainingRun,
    *,
    save_steps: int = 0,
) -> int:
    """Train in place; `run.on_step` gets the objective's metrics, `learning_rate` and `grad_norm`.

    After the steps that `schedule.eval_steps` names it gets the metrics of the validation set, too, and with
    `early_stopping_patience` the `best_step` so far: training ends with its weights.

    Args:
        lengths: tokens of each example.
        save_steps: a checkpoint after every so many steps; 0 keeps none.

    Returns:
        The step whose weights the model has.

    Raises:
        PipelineError: a loss is not finite, early stopping has no validation set, or there are more processes than
            examples in a step.
    """
    _check_early_stopping(schedule, objective)
    steps = _shared_steps(objective.name, lengths, schedule, run)
    keep, evaluated = checkpoint_steps(len(steps), save_steps), evaluation_steps(len(steps), schedule)
    optimization = supervised_optimization(model, schedule, run.compute.accelerator, total_steps=len(steps))
    stopping = EarlyStopping(model, schedule.early_stopping_patience)
    state = restore_training(run.resume, optimization, model)
    objective.restore(state)
    stopping.restore(state)
    done: int = state["step"]

    def state_now() -> State:
        return training_state(done, optimization, model, **objective.state(), **stopping.state())

    bar = progress_bar(total=len(steps), initial=done, title=objective.title, unit="step")
    with StateSaver(run.resume) as saver, bar:
        while done < len(steps) and not stopping.stopped:
            start, batches = time.perf_counter(), steps[done]
            done += 1
            model.train()
            metrics = objective.backward(batches, optimization, step=done)
            metrics |= {"learning_rate": optimization.learning_rate} | optimization.step()
            tokens = sum(lengths[index] for batch in batches for index in batch)
            run.on_tokens(tokens, time.perf_counter() - start)
            metrics |= objective.updated(done)
            if done in evaluated and objective.validation_size:
                metrics |= _validation(model, objective, stopping, done)
            run.on_step(done, metrics)
            bar.set_postfix({name: format(metrics[name], style) for name, style in _SHOWN.items() if name in metrics})
            bar.update()
            if done in keep:
                run.on_checkpoint(done)
            saver.offer(done, state_now)
    stopping.put_back()
    return stopping.best_step or done


def _shared_steps(
    name: str, lengths: Sequence[int], schedule: SupervisedTraining, run: TrainingRun
) -> list[list[list[int]]]:
    """The forward batches of each step, enough of them for the processes that train together."""
    steps = plan_batches(lengths, schedule, seed=run.seed, name=name, limit=run.compute.forward_limit)
    if group.size() == 1:
        return steps
    largest = max(sum(map(len, step)) for step in steps)
    keys = "per_device_train_batch_size or gradient_accumulation_steps"
    check_shares(largest, group.size(), name=name, keys=keys)
    return [shared_out(step, group.size()) for step in steps]


def _check_early_stopping(schedule: SupervisedTraining, objective: Objective) -> None:
    if schedule.early_stopping_patience is not None and not objective.validation_size:
        raise PipelineError(
            "early_stopping_patience needs a validation set, and there is none: set it to null, or "
            "data.splits.validation to more than 0."
        )


@torch.no_grad()
def _validation(model: nn.Module, objective: Objective, stopping: EarlyStopping, step: int) -> dict[str, float]:
    model.eval()
    found = objective.evaluate()
    stopping.see(step, found["loss"])
    metrics = {f"validation_{name}": value for name, value in found.items()}
    return metrics if stopping.best_step is None else {**metrics, "best_step": stopping.best_step}
