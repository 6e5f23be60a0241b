"""Several processes train what one trains: the same bytes where each has one forward pass of a step, else rounding."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.models.compute import Compute, start_compute
from pipeline.params.schema import Params
from pipeline.training.schedule import Optimization
from tests.conftest import ROOT
from tests.fake_group import Threads
from tests.training.together import RUNTIME, TRAININGS, Folders, Trained, largest_difference

NAMES = [*TRAININGS]
WITH_ADAPTERS = [name for name in NAMES if "full" not in name]
"""Where all weights are trained, some have no gradient but rounding (biases of keys), which AdamW makes large."""
Train = Callable[..., list[Trained]]


@pytest.fixture(scope="module")
def folders(policy_folder: Path, encoder_folder: Path) -> Folders:
    return Folders(policy_folder, encoder_folder)


@pytest.fixture(scope="module")
def plain() -> Compute:
    return start_compute(RUNTIME)


@pytest.fixture(scope="module")
def alone(folders: Folders, plain: Compute, params: Params) -> Callable[[str], Trained]:
    """What one process trains."""
    known: dict[str, Trained] = {}

    def of(name: str) -> Trained:
        if name not in known:
            known[name] = TRAININGS[name](folders, plain, params)()
        return known[name]

    return of


@pytest.fixture
def train(folders: Folders, plain: Compute, params: Params) -> Train:
    def together(name: str, size: int, **plan: object) -> list[Trained]:
        return Threads(size).run([TRAININGS[name](folders, plain, params, **plan) for _ in range(size)])

    return together


@pytest.mark.parametrize("name", NAMES)
def test_two_that_have_a_forward_pass_each_write_the_bytes_of_one(
    train: Train, alone: Callable[[str], Trained], name: str
) -> None:
    first, second = train(name, 2)
    assert largest_difference(first, alone(name)) == 0 and largest_difference(second, first) == 0
    # the first logs, and what it logs is of the whole step
    assert first.rows == alone(name).rows and len(first.rows) > 1 and second.rows == []


@pytest.mark.parametrize("name", [name for name in WITH_ADAPTERS if name != "ppo_with_critic"])
def test_three_share_two_forward_passes_up_to_rounding(
    train: Train, alone: Callable[[str], Trained], name: str
) -> None:
    ranks = train(name, 3)
    assert_same_up_to_rounding(ranks, alone(name))


def assert_same_up_to_rounding(ranks: list[Trained], expected: Trained) -> None:
    assert largest_difference(ranks[0], expected) < 1e-5
    assert largest_difference(ranks[1], ranks[0]) == largest_difference(ranks[2], ranks[0]) == 0
    for row, other in zip(ranks[0].rows, expected.rows, strict=True):
        assert row == pytest.approx(other, abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("name", ["sft", "ppo"])
def test_without_the_sum_of_gradients_they_train_something_else(
    train: Train, alone: Callable[[str], Trained], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Optimization, "_add_up_gradients", lambda self: None)
    first, second = train(name, 2)
    assert largest_difference(first, alone(name)) > 1e-4 and largest_difference(second, first) > 1e-4


def test_more_processes_than_examples_in_a_step_are_refused(train: Train) -> None:
    with pytest.raises(PipelineError, match=r"train_sft: a step of 1 examples .* 2 processes. Raise per_device_train"):
        train("sft", 2, per_device_train_batch_size=1, gradient_accumulation_steps=1)


def test_a_step_of_one_example_at_the_end_of_an_epoch_leaves_one_process_idle(train: Train) -> None:
    first, second = train("sft", 2, per_device_train_batch_size=7, gradient_accumulation_steps=1)
    assert largest_difference(first, second) == 0 and len(first.rows) == 6


def test_ppo_stops_together_at_its_largest_kl(train: Train) -> None:
    first, second = train("ppo", 2, max_kl=1e-9, learning_rate=1e-2)
    assert len(first.rows) == 2 and largest_difference(first, second) == 0
    first, second = train("ppo", 2, target_kl_per_update=1e-9, max_ratio=None)
    assert [row["updates"] for row in first.rows] == [1.0, 1.0] and largest_difference(first, second) == 0


def test_a_loss_that_is_not_finite_in_one_ends_both(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    learn, seen = Optimization.backward, []

    def broken(self: Optimization, loss: torch.Tensor) -> None:
        seen.append(loss)
        learn(self, loss * float("nan") if len(seen) == 3 else loss)

    monkeypatch.setattr(Optimization, "backward", broken)
    with pytest.raises(PipelineError, match="the loss is nan"):
        train("sft", 2)


@pytest.fixture(scope="module")
def started(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[dict[str, Trained]]]:
    """What processes that torchrun starts have trained: each number of them is started once."""
    known: dict[int, list[dict[str, Trained]]] = {}

    def of(size: int) -> list[dict[str, Trained]]:
        if size not in known:
            output = tmp_path_factory.mktemp("together")
            command = [sys.executable, "-m", "pipeline.torchrun", "--standalone", f"--nproc-per-node={size}"]
            command += ["-m", "tests.training.together", str(folders.policy), str(folders.encoder), str(output)]
            env = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-3000:]
            read = [torch.load(output / f"{rank}.pt") for rank in range(size)]
            known[size] = [{name: Trained(**one) for name, one in found.items()} for found in read]
        return known[size]

    return of


@pytest.mark.slow(beside="test_two_that_have_a_forward_pass_each_write_the_bytes_of_one")
@pytest.mark.parametrize("name", NAMES)
def test_two_processes_write_the_bytes_of_one(
    started: Callable[[int], list[dict[str, Trained]]], alone: Callable[[str], Trained], name: str
) -> None:
    first, second = (found[name] for found in started(2))
    assert largest_difference(first, alone(name)) == 0 and largest_difference(second, first) == 0
    assert first.rows == alone(name).rows


@pytest.mark.slow(beside="test_three_share_two_forward_passes_up_to_rounding")
@pytest.mark.parametrize("name", WITH_ADAPTERS)
def test_three_processes_train_what_one_trains(
    started: Callable[[int], list[dict[str, Trained]]], alone: Callable[[str], Trained], name: str
) -> None:
    assert_same_up_to_rounding([found[name] for found in started(3)], alone(name))
