"""Experiments that DVC runs in a folder of their own leave their runs and states in the project."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.project.home import project_home
from pipeline.project.provenance import experiment_tags
from pipeline.resume import Resume, held_key
from pipeline.tracking.store_address import absolute_store
from pipeline.tracking.tracker import RunTracker
from tests.tracking.conftest import client, history, journals, only_run, tracking, wait_until


@pytest.fixture
def experiment(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as `dvc exp run --temp` makes it, with DVC's variables."""
    folder = root / ".dvc/tmp/exps" / tmp_path.name
    folder.mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.setenv("DVC_EXP_NAME", "tardy-gnat")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0123abc")
    return folder


def test_a_run_of_an_experiment_is_in_the_projects_store(root: Path, experiment: Path) -> None:
    tracker = RunTracker(tracking(), experiment)
    tracker.start("train_sft", params={"beta": 0.2}, tags={"stage": "of an experiment", **experiment_tags()})
    assert len(journals(root)) == 1
    tracker.log({"loss": 0.5}, step=1)
    tracker.finish(succeeded=True)
    run = only_run(root, "of an experiment")
    assert run.info.status == "FINISHED" and history(root, run, "loss") == [(1, 0.5)]
    assert run.data.tags["DVC_EXP_NAME"] == "tardy-gnat" and run.data.tags["DVC_EXP_BASELINE_REV"] == "0123abc"
    assert list(experiment.iterdir()) == [], "nothing is lost with the folder"
    artifacts = client(root).get_experiment(run.info.experiment_id).artifact_location
    assert str(experiment) not in artifacts


def test_the_end_of_a_run_outlives_the_folder(root: Path, experiment: Path) -> None:
    tracker = RunTracker(tracking(), experiment)
    tracker.start("train_sft", params={}, tags={"stage": "removed"})
    wait_until(lambda: list((root / ".state/tracking").glob("*.progress")))
    shutil.rmtree(experiment)
    tracker.finish(succeeded=True)
    assert only_run(root, "removed").info.status == "FINISHED"


def test_a_variable_of_another_project_moves_nothing(
    root: Path, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project_home(experiment) == root.resolve()
    assert project_home(tmp_path) == tmp_path.resolve(), "no folder of the project that the variable names"
    assert project_home(root) == root.resolve()
    monkeypatch.delenv("DVC_ROOT")
    assert project_home(experiment) == experiment.resolve()


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "sqlite:///runs/x.db"])
def test_a_relative_store_is_the_projects(root: Path, experiment: Path, uri: str) -> None:
    assert absolute_store(uri, experiment) == f"sqlite:///{root.resolve() / uri.removeprefix('sqlite:///')}"
    for other in ("sqlite:////data/runs.db", "http://127.0.0.1:5000"):
        assert absolute_store(other, experiment) == other


def test_experiments_that_run_at_once_keep_their_states_apart(tmp_path: Path) -> None:
    with held_key(tmp_path, "train_sft", "beta1") as first, held_key(tmp_path, "train_sft", "beta1") as twin:
        assert first == "beta1" and twin != first, "the same inputs, at the same time"
        state = Resume(tmp_path, "train_sft", first, every_steps=1)
        state.save_now({"step": 3})
        with held_key(tmp_path, "train_sft", "beta2") as other:
            Resume(tmp_path, "train_sft", other, every_steps=1)
            assert state.restore() == {"step": 3}, "its process still works with it"
    with held_key(tmp_path, "train_sft", "beta1") as again:
        assert Resume(tmp_path, "train_sft", again, every_steps=1, keep_others=True).restore() == {"step": 3}
    Resume(tmp_path, "train_sft", "beta2", every_steps=1)
    assert not (tmp_path / ".state/resume/train_sft/beta1").exists(), "nobody goes on with it"


def test_a_state_that_is_cleared_keeps_its_lock_and_its_outputs(tmp_path: Path) -> None:
    with held_key(tmp_path, "train_sft", "key") as key:
        state = Resume(tmp_path, "train_sft", key, every_steps=1)
        state.save_now({"step": 3})
        state.write_note("run", json.dumps({}))
        outputs = state.folder / "outputs"
        outputs.mkdir()
        state.clear(keep=outputs)
        assert list(state.folder.iterdir()) == [outputs] and not state.found
        state.discard()
        assert not state.folder.parent.exists()
