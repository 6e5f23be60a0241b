"""Early stopping by the validation loss, as transformers' EarlyStoppingCallback does it: the best weights are kept."""

import math

import torch
from torch import nn

from pipeline.errors import PipelineError
from pipeline.resume import State
from pipeline.training.resuming import trained_weights


class EarlyStopping:
    """The lowest validation loss so far, the weights that had it, and how often in a row it was not beaten."""

    def __init__(self, model: nn.Module, patience: int | None) -> None:
        """Args:
        model: whose weights are kept, in the CPU's memory.
        patience: losses in a row that are not below the lowest, after which training stops; None never stops and
            keeps nothing.
        """
        self._model, self._patience = model, patience
        self._lowest, self._misses = math.inf, 0
        self._best: State = {}
        self.best_step: int | None = None

    @property
    def stopped(self) -> bool:
        """Whether training should go no further."""
        return self._patience is not None and self._misses >= self._patience

    def see(self, step: int, loss: float) -> None:
        """Take the validation loss after a step (1-based).

        Raises:
            PipelineError: it is NaN or infinite.
        """
        if not math.isfinite(loss):
            raise PipelineError(
                f"the validation loss is {loss} after step {step}: training has diverged. Lower the learning rate."
            )
        if self._patience is None:
            return
        if loss < self._lowest:
            self._lowest, self._misses, self.best_step = loss, 0, step
            self._best = {name: weight.to("cpu", copy=True) for name, weight in trained_weights(self._model).items()}
        else:
            self._misses += 1

    @torch.no_grad()
    def put_back(self) -> None:
        """Give the model the weights with the lowest loss; without any it keeps its own."""
        for name, weight in trained_weights(self._model).items() if self._best else []:
            weight.copy_(self._best[name])

    def state(self) -> State:
        """What a killed training needs to go on: empty without `patience`."""
        if self._patience is None:
            return {}
        return {
            "early_stopping": {
                "lowest": self._lowest, "misses": self._misses, "step": self.best_step, "weights": self._best,
            }
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """Take back what `state` gave; at the start of a run there is nothing of it."""
        if "early_stopping" in state:
            saved = state["early_stopping"]
            self._lowest, self._misses, self.best_step = saved["lowest"], saved["misses"], saved["step"]
            self._best = saved["weights"]
