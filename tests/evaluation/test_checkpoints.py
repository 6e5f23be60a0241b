"""Which checkpoint goes on."""

from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.evaluation.checkpoints import checkpoint_folders, checkpoint_point, choose_step, last_step
from pipeline.evaluation.policy import Evaluator, ScoredSample
from pipeline.params.evaluation import SelectCheckpoint
from pipeline.params.schema import Params
from pipeline.results.checkpoints import CheckpointPoint
from pipeline.results.document import Interval
from tests.tiny_models import changed

SCORES = {"judge": [0.2, 0.4, 0.9], "reward": [1.0, 2.0, 6.0], "kl": [-1.0, 1.0, 3.0]}


@pytest.fixture
def evaluator() -> Evaluator:
    """Intervals need no models."""
    nothing = cast(Any, None)
    return Evaluator(nothing, nothing, nothing, nothing, nothing, nothing, batch_size=1, resamples=200, seed=0)


def samples(judge: list[float], *, reward: list[float] | None = None, kl: list[float] | None = None) -> Any:
    count = len(judge)
    made = [
        {
            "id": f"{number:016x}",
            "prompt": "the film",
            "category": "all",
            "response": " is good",
            "ended": True,
            "tokens": 2,
            "judge_score": judge[number],
            "reward_score": (reward or [0.0] * count)[number],
            "kl_nats": (kl or [0.0] * count)[number],
            "kl_k3_nats": 0.0,
        }
        for number in range(count)
    ]
    return [ScoredSample(**cast(Any, one)) for one in made]


def point(step: int, judge: float, kl: float) -> CheckpointPoint:
    nothing = Interval(mean=0.0, low=0.0, high=0.0)
    return CheckpointPoint(
        step=step, kl_nats_per_sequence=kl, kl_interval=nothing, reward_score=nothing,
        judge_score=Interval(mean=judge, low=0.0, high=1.0), reward_scores=[], judge_scores=[], kl_nats=[],
        distinct_2=0.5,
    )  # fmt: skip


@pytest.fixture
def settings(params: Params) -> SelectCheckpoint:
    return changed(params.select_checkpoint, select="best", max_kl=5.0)


def test_a_point_holds_the_means(evaluator: Evaluator) -> None:
    made = samples(SCORES["judge"], reward=SCORES["reward"], kl=SCORES["kl"])
    found = checkpoint_point(evaluator, made, step=7)
    assert found.step == 7 and found.kl_nats_per_sequence == pytest.approx(1.0)
    assert found.judge_score.mean == pytest.approx(0.5) and found.reward_score.mean == pytest.approx(3.0)
    assert (found.judge_scores, found.reward_scores) == (SCORES["judge"], SCORES["reward"]), "by prompt, in order"
    assert found.kl_interval.low < 1.0 < found.kl_interval.high
    assert found.distinct_2 == pytest.approx(1 / 3), "three times the same two words"


@pytest.mark.parametrize(
    ("points", "step"),
    [
        # the peak, not the end
        ([point(0, 0.5, 0), point(4, 0.7, 1), point(8, 0.8, 3), point(12, 0.6, 4)], 8),
        # the end, where it is the peak
        ([point(0, 0.5, 0), point(4, 0.7, 1), point(8, 0.8, 3)], 8),
        # the highest score is beyond the budget
        ([point(0, 0.5, 0), point(4, 0.6, 1), point(8, 0.7, 5), point(12, 0.9, 5.1)], 8),
        # all are beyond it
        ([point(0, 0.5, 0), point(4, 0.6, 7), point(8, 0.7, 6), point(12, 0.9, 9)], 8),
        # equal scores: the earlier one
        ([point(0, 0.5, 0), point(4, 0.7, 1), point(8, 0.7, 2)], 4),
        # SFT itself is no choice
        ([point(0, 0.9, 0), point(4, 0.3, 1), point(8, 0.4, 2)], 8),
    ],
)
def test_the_judges_peak_within_the_budget_goes_on(
    settings: SelectCheckpoint, points: list[dict[str, Any]], step: int
) -> None:
    assert choose_step(points, settings, trusted=True) == step


def test_the_last_one_goes_on_where_it_is_asked_for(settings: SelectCheckpoint) -> None:
    points = [point(0, 0.5, 0), point(4, 0.9, 1), point(8, 0.1, 30)]
    assert choose_step(points, changed(settings, select="last"), trusted=True) == 8


def test_a_judge_that_failed_its_gate_selects_nothing(settings: SelectCheckpoint) -> None:
    points = [point(0, 0.5, 0.0), point(4, 0.9, 1.0), point(8, 0.6, 2.0)]
    assert choose_step(points, settings, trusted=True) == 4
    assert choose_step(points, settings, trusted=False) == 8


def test_the_last_step_is_the_one_that_training_went_back_to() -> None:
    assert last_step([{"step": 8.0}, {"step": 16.0}]) == 16
    assert last_step([{"step": 8.0, "best_step": 8.0}, {"step": 16.0, "best_step": 8.0}]) == 8


def test_the_folders_of_all_steps_in_the_order_of_training(tmp_path: Path) -> None:
    for step in (4, 12, 8):
        (tmp_path / f"checkpoints/step-{step:05d}").mkdir(parents=True)
    steps = {step: tmp_path / f"checkpoints/step-{step:05d}" for step in (4, 8, 12)}
    assert list(checkpoint_folders(tmp_path, last_step=16, first=None).items()) == [*steps.items(), (16, tmp_path)]
    start = tmp_path / "start"
    assert list(checkpoint_folders(tmp_path, last_step=16, first=start).items())[:2] == [(1, start), (4, steps[4])]
    alone = checkpoint_folders(tmp_path / "no checkpoints", last_step=1, first=start)
    assert alone == {1: tmp_path / "no checkpoints"}, "a policy that stayed as it was is its own last step"
