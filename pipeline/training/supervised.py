"""The loop of every trainer on a fixed data set: SFT, the reward model, DPO."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

from torch import nn

from pipeline.params.base import SupervisedSchedule
from pipeline.progress import progress_bar
from pipeline.resume import State
from pipeline.training.resuming import restore_training, training_state
from pipeline.training.run import TrainingRun
from pipeline.training.schedule import Optimization, checkpoint_steps, plan_batches, supervised_optimization

Batches = Sequence[Sequence[int]]
"""Examples of one optimiser step, by index: one list a forward pass."""


class Objective(ABC):
    """What a trainer learns: the loss of a step, and what else happens at it."""

    name: str
    """Of its random generators."""
    title: str
    """Of its progress bar."""

    @abstractmethod
    def backward(self, batches: Batches, optimization: Optimization, *, step: int) -> dict[str, float]:
        """Accumulate the gradients of a whole optimiser step.

        Returns:
            Its metrics, `loss` among them.
        """

    def updated(self, step: int) -> dict[str, float]:
        """Do what follows an update; returns metrics that only some steps have."""
        return {}

    def state(self) -> State:
        """What the steps to come depend on, besides weights, optimiser and schedule."""
        return {}

    def restore(self, state: State) -> None:  # noqa: B027 - most objectives have nothing to take back
        """Take back what `state` gave; at the start of a run there is nothing of it."""


def train_supervised(
    model: nn.Module,
    objective: Objective,
    lengths: Sequence[int],
    schedule: SupervisedSchedule,
    run: TrainingRun,
    *,
    save_steps: int = 0,
) -> None:
    """Train in place; `run.on_step` gets the objective's metrics, `learning_rate` and `grad_norm`.

    Args:
        lengths: tokens of each example.
        save_steps: a checkpoint after every so many steps; 0 keeps none.

    Raises:
        PipelineError: the loss is not finite.
    """
    limit = run.compute.forward_limit
    steps = plan_batches(lengths, schedule, seed=run.seed, name=objective.name, limit=limit)
    keep = checkpoint_steps(len(steps), save_steps)
    optimization = supervised_optimization(model, schedule, run.compute.accelerator, total_steps=len(steps))
    state = restore_training(run.resume, optimization, model)
    objective.restore(state)
    done = state["step"]
    with progress_bar(total=len(steps), initial=done, title=objective.title, unit="step") as bar:
        for step, batches in enumerate(steps[done:], start=done + 1):
            start = time.perf_counter()
            model.train()
            metrics = objective.backward(batches, optimization, step=step)
            metrics |= {"learning_rate": optimization.learning_rate} | optimization.step()
            tokens = sum(lengths[index] for batch in batches for index in batch)
            run.on_tokens(tokens, time.perf_counter() - start)
            run.on_step(step, metrics | objective.updated(step))
            shown = {"loss": ".3f", "accuracy": ".2f"}
            bar.set_postfix({name: format(metrics[name], style) for name, style in shown.items() if name in metrics})
            bar.update()
            if step in keep:
                run.on_checkpoint(step)
            if run.resume is not None:
                run.resume.save(step, partial(training_state, step, optimization, model, **objective.state()))
