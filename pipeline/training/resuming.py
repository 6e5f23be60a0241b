"""What a trainer needs to go on as if it had never stopped."""

from typing import Any

from torch import nn

from pipeline.resume import Resume, State
from pipeline.training.schedule import Optimization


def training_state(step: int, optimization: Optimization, *models: nn.Module, **more: Any) -> State:
    """Everything that the steps after `step` depend on.

    Args:
        step: done, 1-based.
        optimization: of the models' trainable parameters.
        models: frozen parameters are left out: they are those of the checkpoint that training started from.
        more: state of the trainer's own.
    """
    return {
        "step": step,
        "models": [trained_weights(model) for model in models],
        "optimizer": optimization.optimizer.state_dict(),
        "scheduler": optimization.scheduler.state_dict(),
        **more,
    }


def restore_training(resume: Resume | None, optimization: Optimization, *models: nn.Module) -> State:
    """Put models, optimiser and schedule back; returns the state, whose `step` is 0 at the start.

    Raises:
        ValueError: the state is of other models.
    """
    state = resume.restore() if resume is not None else None
    if state is None:
        return {"step": 0}
    for model, saved in zip(models, state["models"], strict=True):
        if saved.keys() != trained_weights(model).keys():
            raise ValueError("the saved state has other parameters than the model")
        model.load_state_dict(saved, strict=False)
    optimization.optimizer.load_state_dict(state["optimizer"])
    optimization.scheduler.load_state_dict(state["scheduler"])
    return state


def trained_weights(model: nn.Module) -> State:
    """Parameters with a gradient, by name; not copied."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}
