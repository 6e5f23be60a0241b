"""The loop of every trainer on a fixed data set: when it looks at the validation set, and what it does about it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.params.schema import Params, TrainSft
from pipeline.resume import Resume
from pipeline.training.schedule import Optimization
from pipeline.training.supervised import Batches, Objective, train_supervised
from tests.tiny_models import changed
from tests.training.recording import Recorder


class Scripted(Objective):
    """Each step adds about the same to a weight; the losses of the validation set are given, the last one stays."""

    name, title = "scripted", "scripted"

    def __init__(self, model: nn.Linear, losses: list[float], *, validation_size: int = 4) -> None:
        self._model, self._losses = model, losses
        self.validation_size = validation_size
        self.seen: list[float] = []

    def backward(self, batches: Batches, optimization: Optimization, *, step: int) -> dict[str, float]:
        optimization.backward(-self._model.weight.sum())
        return {"loss": float(step)}

    def evaluate(self) -> dict[str, float]:
        assert not torch.is_grad_enabled() and not self._model.training
        self.seen.append(self._model.weight.item())
        return {"loss": self._losses[min(len(self.seen), len(self._losses)) - 1], "accuracy": 0.5}

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        self.seen = state.get("seen", [])


@pytest.fixture
def settings(params: Params) -> TrainSft:
    """Twelve steps."""
    return changed(
        params.train_sft,
        warmup_ratio=0.0,
        lr_scheduler_type="constant",
        num_train_epochs=3,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,
    )


class Trained:
    """What became of a training with validation losses as given."""

    def __init__(
        self, losses: list[float], settings: TrainSft, compute: Compute, *, resume: Resume | None = None, **more: Any
    ) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.model.weight.fill_(1.0)
        self.recorder, self.objective = Recorder(), Scripted(self.model, losses, **more)
        run = self.recorder.run(compute, resume=resume)
        self.step = train_supervised(self.model, self.objective, [1, 1, 1, 1], settings, run)


def test_its_metrics_stand_beside_those_of_the_step(settings: TrainSft, compute: Compute) -> None:
    trained = Trained([3.0, 2.0, 4.0], changed(settings, eval_steps=5), compute)
    rows = [row for row in trained.recorder.rows if "validation_loss" in row]
    assert [row["loss"] for row in rows] == [5, 10, 12]
    assert [row["validation_loss"] for row in rows] == [3.0, 2.0, 4.0]
    assert all(row["validation_accuracy"] == 0.5 and "best_step" not in row for row in rows)
    # without patience the end is what counts, however good it was before
    assert trained.step == 12 and trained.model.weight.item() == trained.objective.seen[-1]


def test_looking_changes_no_weight(settings: TrainSft, compute: Compute) -> None:
    blind, watched = (
        Trained([1.0], changed(settings, eval_steps=every, early_stopping_patience=stop), compute)
        for every, stop in ((0, None), (1, 100))
    )
    last = watched.objective.seen[-1]
    assert last == blind.model.weight.item() and blind.objective.seen == []


LOSSES = [5.0, 3.0, 4.0, 3.0, 2.0, 2.5, 2.0, 9.0]
"""At steps 1, 2, ...: a loss that equals the lowest does not beat it."""


@pytest.mark.parametrize(
    ("patience", "best", "stops"), [(1, 2, 3), (2, 2, 4), (3, 5, 8), (4, 5, 9)], ids=lambda value: str(value)
)
def test_it_stops_and_goes_back_to_the_lowest_loss(
    settings: TrainSft, compute: Compute, patience: int, best: int, stops: int
) -> None:
    trained = Trained(LOSSES, changed(settings, eval_steps=1, early_stopping_patience=patience), compute)
    assert trained.recorder.steps == list(range(1, stops + 1))
    assert trained.step == best == trained.recorder.rows[-1]["best_step"]
    assert trained.model.weight.item() == trained.objective.seen[best - 1] != trained.objective.seen[-1]


def test_with_patience_to_the_end_the_lowest_loss_is_what_is_left(settings: TrainSft, compute: Compute) -> None:
    trained = Trained([3.0, 1.0, 2.0], changed(settings, eval_steps=4, early_stopping_patience=5), compute)
    assert trained.recorder.steps[-1] == 12 and trained.step == 8
    assert trained.model.weight.item() == trained.objective.seen[1]


def test_a_run_that_stopped_stays_stopped(settings: TrainSft, compute: Compute, tmp_path: Path) -> None:
    """A kill may come after the last step and before the weights are written."""
    runs = [
        Trained(
            LOSSES,
            changed(settings, eval_steps=1, early_stopping_patience=2),
            compute,
            resume=Resume(tmp_path, "stage", "key", every_steps=1),
        )
        for _ in range(2)
    ]
    assert runs[0].recorder.steps == [1, 2, 3, 4] and runs[1].recorder.steps == []
    assert runs[1].step == 2 and runs[1].model.weight.item() == runs[0].model.weight.item()


def test_without_a_validation_set_nothing_is_looked_at(settings: TrainSft, compute: Compute) -> None:
    trained = Trained([], changed(settings, eval_steps=1), compute, validation_size=0)
    assert not any("validation_loss" in row for row in trained.recorder.rows)


def test_stopping_early_without_a_validation_set_is_refused(settings: TrainSft, compute: Compute) -> None:
    with pytest.raises(PipelineError, match="there is none"):
        Trained([], changed(settings, eval_steps=1, early_stopping_patience=1), compute, validation_size=0)


def test_a_validation_loss_that_is_not_finite_stops_training(settings: TrainSft, compute: Compute) -> None:
    with pytest.raises(PipelineError, match=r"validation loss is nan after step 2"):
        Trained([1.0, float("nan")], changed(settings, eval_steps=1), compute)
