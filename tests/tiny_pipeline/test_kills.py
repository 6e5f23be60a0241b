"""A stage that is killed goes on where it stopped: same bytes, same run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from ruamel.yaml import YAML

from pipeline.project.hashing import content_hash
from tests.conftest import ROOT
from tests.tiny_pipeline.conftest import all_runs, run


def outputs(project: Path, stage: str) -> dict[str, str]:
    """Content hashes of a stage's outputs as they lie there."""
    lock = YAML(typ="safe").load((project / "dvc.lock").read_text())
    return {out["path"]: content_hash(project / out["path"]) for out in lock["stages"][stage]["outs"]}


FAST = ("optimize_policy@dpo-0",)
STAGES = ("train_sft", "collect_preferences", "train_reward", "optimize_policy@dpo-0", "optimize_policy@ppo-0")


@pytest.fixture(scope="module")
def outputs_before(project: Path) -> dict[str, dict[str, str]]:
    return {stage: outputs(project, stage) for stage in STAGES}


@pytest.fixture(scope="module")
def killed(project: Path, outputs_before: dict[str, dict[str, str]]) -> Callable[[str], dict[str, float]]:
    """Tells what became of a stage that was killed five times at random moments: one of `FAST`, or all the others."""
    found: dict[str, dict[str, float]] = {}

    def of(stage: str) -> dict[str, float]:
        if stage not in found:
            found.update(kill(project, *(one for one in STAGES if (one in FAST) == (stage in FAST))))
        return found[stage]

    return of


def kill(project: Path, *stages: str) -> dict[str, dict[str, float]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "tests.tiny_pipeline.killing", str(project), "5", "1", *stages]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {result["stage"]: result for result in results}


_OTHERS = [
    pytest.param(stage, marks=pytest.mark.slow(beside="test_five_kills_at_random_moments_change_no_byte"))
    for stage in STAGES
    if stage not in FAST
]


@pytest.mark.parametrize("stage", [*FAST, *_OTHERS])
def test_five_kills_at_random_moments_change_no_byte(
    project: Path, killed: Callable[[str], dict[str, float]], outputs_before: dict[str, dict[str, str]], stage: str
) -> None:
    assert killed(stage)["killed"] == 5, killed(stage)
    assert outputs(project, stage) == outputs_before[stage]
    assert not (project / ".state/resume" / stage).exists()


def test_it_went_on_from_a_state(killed: Callable[[str], dict[str, float]]) -> None:
    assert sum(killed(stage)["resumed"] for stage in FAST) >= 1


@pytest.mark.slow(beside="test_it_went_on_from_a_state")
def test_some_went_on_from_a_state(killed: Callable[[str], dict[str, float]]) -> None:
    assert sum(killed(stage)["resumed"] for stage in STAGES) >= len(STAGES)


@pytest.mark.slow(beside="test_it_went_on_from_a_state")
def test_the_run_in_mlflow_goes_on_without_a_jump(project: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")

    def runs() -> list[mlflow.entities.Run]:
        return all_runs(project, "tags.stage = 'optimize_policy@ppo-0'")

    known = {one.info.run_id for one in runs()}
    before = outputs(project, "optimize_policy@ppo-0")
    command = [sys.executable, "-m", "pipeline.launch", "train_ppo", "0"]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=project, env=environment, **quiet)
    deadline = time.monotonic() + 300
    while not list((project / ".state/resume/optimize_policy@ppo-0").glob("*/training.pt")):
        assert process.poll() is None and time.monotonic() < deadline, "no state was saved"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    second = run(project, "python", *command[1:])
    assert second.returncode == 0 and "resumes from the state" in second.stdout, second.stdout + second.stderr
    assert outputs(project, "optimize_policy@ppo-0") == before
    (new,) = [one for one in runs() if one.info.run_id not in known]
    assert new.info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(new.info.run_id, "score")] == [1, 2]
