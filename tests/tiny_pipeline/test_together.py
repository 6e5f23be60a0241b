"""Stages of the tiny pipeline in two processes: their bytes, and what becomes of them when one fails."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

from pipeline.project.hashing import content_hash
from tests.tiny_pipeline.conftest import environment_of_stages
from tests.tiny_project import edit_params

SFT = "artifacts/sft"
_STAGE = "train_sft"
_SECONDS = 120


@pytest.fixture
def shared(project: Path, tmp_path: Path) -> Path:
    """A copy whose trainings are shared by two processes; its SFT has eight steps of two forward passes."""
    root = tmp_path / "copy"
    shutil.copytree(project, root, ignore=shutil.ignore_patterns("mlflow.db", "runs", "tmp", "cache", "release"))
    edit_params(
        root, {"launch.processes": 2, "train_sft.num_train_epochs": 4, "train_sft.early_stopping_patience": None}
    )
    return root


def start(root: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipeline.launch", _STAGE]
    environment = {**environment_of_stages(), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    said, _ = process.communicate(timeout=_SECONDS)
    return process.returncode, said


def bytes_of(root: Path, processes: int) -> str:
    """The content hash of the policy after the stage."""
    edit_params(root, {"launch.processes": processes})
    code, said = finish(start(root))
    assert code == 0, said
    return content_hash(root / SFT)


def processes_of(root: Path) -> dict[int, int]:
    """The processes that work on the stage in this folder, by rank."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if f"stages.{_STAGE}".encode() in words and (entry / "cwd").readlink() == root.resolve():
                variables = (entry / "environ").read_bytes().split(b"\0")
                found.update({int(one[5:]): int(entry.name) for one in variables if one.startswith(b"RANK=")})
        except OSError:
            continue
    return found


def wait_for(what: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + _SECONDS
    while not what():
        assert process.poll() is None and time.monotonic() < deadline, finish(process)[1]
        time.sleep(0.005)


@pytest.fixture
def slowed(shared: Path) -> Iterator[Path]:
    """Each step waits a little, so that there is a moment to kill in; the file decides nothing."""
    saving = shared / "pipeline/progress.py"
    saving.write_text(saving.read_text() + "\n\nimport time\n\ntqdm.update = lambda self, n=1: time.sleep(0.5)\n")
    yield shared


@pytest.mark.slow(
    beside="tests/test_torchrun.py::test_a_process_that_was_killed_comes_before_those_that_torchrun_ended"
)
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_others_and_one_process_goes_on(slowed: Path, rank: int) -> None:
    process = start(slowed)
    states = slowed / ".state/resume" / _STAGE
    wait_for(lambda: any(states.glob("*/training.pt")), process)
    os.kill(processes_of(slowed)[rank], signal.SIGKILL)
    killed = time.monotonic()
    code, said = finish(process)
    assert code == 1 and time.monotonic() - killed < 20 and processes_of(slowed) == {}
    assert said.count("error in") == 1 and f"(rank {rank} of 2 processes): it was killed by signal 9" in said
    assert "Traceback" not in said and any(states.glob("*/training.pt"))
    # another number of processes goes on from it, and ends with the bytes of one that was never disturbed
    edit_params(slowed, {"launch.processes": 1})
    code, said = finish(start(slowed))
    assert code == 0 and "resumes from the state" in said, said
    resumed = content_hash(slowed / SFT)
    assert bytes_of(slowed, 2) == resumed == bytes_of(slowed, 1)
    # the execution that was killed and the one that went on are one run
    client = mlflow.MlflowClient(f"sqlite:///{slowed / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("reproducible-rlhf-stages")
    assert [one.info.status for one in client.search_runs([experiment.experiment_id])] == ["FINISHED"] * 3


@pytest.mark.slow(beside="tests/stage/test_ranks.py::test_its_failure_is_left_for_torchrun_and_not_said")
def test_a_loss_that_is_not_finite_in_one_process_is_said_once(shared: Path) -> None:
    script = shared / f"stages/{_STAGE}.py"
    broken = """
import os
from pipeline.training.schedule import Optimization

learn = Optimization.backward
Optimization.backward = lambda self, loss: learn(self, loss * float("nan") if os.environ["RANK"] == "1" else loss)
"""
    script.write_text(script.read_text().replace("\ndef main", f"{broken}\n\ndef main", 1))
    process = start(shared)
    code, said = finish(process)
    assert code == 1 and said.count("error in") == 1 and "Traceback" not in said, said
    assert f"error in {_STAGE} (rank 1 of 2 processes): the loss is nan: training has diverged" in said
    assert processes_of(shared) == {}


@pytest.mark.slow(
    beside="tests/test_torchrun.py::test_a_process_that_was_killed_comes_before_those_that_torchrun_ended"
)
def test_a_killed_torchrun_leaves_no_process_behind(slowed: Path) -> None:
    process = start(slowed)
    wait_for(lambda: any((slowed / ".state/resume" / _STAGE).glob("*/training.pt")), process)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while processes_of(slowed) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(slowed) == {}
