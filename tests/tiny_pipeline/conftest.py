"""One tiny project that was run once; its tests share a process, see `ByFile` in the conftest above."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from tests.tiny_project import create_tiny_project
from tests.warm_stages import warm_stages


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # mlflow.set_tracking_uri, called in this process by other tests, would send the stages to their store
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return subprocess.run(list(command), cwd=root, capture_output=True, text=True, check=False, env=environment)


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(root, "dvc", *arguments)


def all_runs(project: Path, wanted: str = "") -> list[mlflow.entities.Run]:
    """Runs of the project's store that match, the newest first: those of policies, and those of other stages."""
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiments = [client.get_experiment_by_name(f"reproducible-rlhf{end}") for end in ("", "-stages")]
    return list(client.search_runs([one.experiment_id for one in experiments], wanted))


@pytest.fixture(scope="package", autouse=True)
def cold_path() -> Iterator[str]:
    """The PATH without the `python` that has imported the libraries: with it stages start as they do for users."""
    cold = os.environ["PATH"]
    with warm_stages() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{cold}")
        yield cold


@pytest.fixture(scope="package")
def project(cold_path: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = create_tiny_project(tmp_path_factory.mktemp("project"))
    result = dvc(root, "repro")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert "is empty" not in result.stdout + result.stderr, "DVC warned of files that have nothing to hold"
    return root
