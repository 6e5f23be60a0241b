"""One tiny project that was run once; its tests share two processes, see `ByFile` in the conftest above."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from filelock import FileLock

from pipeline.warm.starting import Waiting, waiting_process
from tests import quick_dvc
from tests.conftest import ROOT
from tests.tiny_project import create_tiny_project

# before any test: what tests and the commands that they call set here would be another environment than that of the
# process in which stages wait, and mlflow.set_tracking_uri would send them to another store
_BEGUN = {
    key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI" and not key.startswith("PYTEST")
}


def environment_of_stages() -> dict[str, str]:
    return {**_BEGUN, "PATH": os.environ["PATH"]}


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = environment_of_stages()
    return subprocess.run(list(command), cwd=root, capture_output=True, text=True, check=False, env=environment)


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(root, "dvc", *arguments)


def all_runs(project: Path, wanted: str = "") -> list[mlflow.entities.Run]:
    """Runs of the project's store that match, the newest first: those of policies, and those of other stages."""
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiments = [client.get_experiment_by_name(f"reproducible-rlhf{end}") for end in ("", "-stages")]
    return list(client.search_runs([one.experiment_id for one in experiments], wanted))


@pytest.fixture(scope="package", autouse=True)
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    """Stages of these tests start warm, and DVC writes what they did sooner."""
    programs = tmp_path_factory.mktemp("programs")
    quick_dvc.write_command(programs)
    with waiting_process(ROOT, environment_of_stages()) as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", started.path(f"{programs}{os.pathsep}{os.environ['PATH']}"))
        yield started


@pytest.fixture(scope="package")
def cold_path(waiting: Waiting) -> str:
    """The PATH on which stages import their libraries themselves, as with `dvc repro`."""
    return os.environ["PATH"].removeprefix(waiting.path(""))


@pytest.fixture(scope="package")
def project(waiting: Waiting, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project after a run, which the first process that needs it does; others have a copy."""
    root = tmp_path_factory.mktemp("project") / "project"
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return built_project(root, waiting)
    of_all = tmp_path_factory.getbasetemp().parent / "tiny_project"
    with FileLock(f"{of_all}.lock"):
        if not of_all.exists():
            built_project(root, waiting)
            shutil.copytree(root, of_all.with_suffix(".draft"), symlinks=True)
            of_all.with_suffix(".draft").rename(of_all)
            return root
    shutil.copytree(of_all, root, symlinks=True)
    assert dvc(root, "checkout", "--relink", "--quiet").returncode == 0
    return root


def built_project(root: Path, waiting: Waiting) -> Path:
    create_tiny_project(root)
    result = dvc(root, "repro")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert waiting.failure() is None, "all stages started warm"
    assert "is empty" not in result.stdout + result.stderr, "DVC warned of files that have nothing to hold"
    return root
