"""One tiny project that was run once; its tests share a process, see `pytest_collection_modifyitems`."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.tiny_project import create_tiny_project


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # mlflow.set_tracking_uri, called in this process by other tests, would send the stages to their store
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return subprocess.run(list(command), cwd=root, capture_output=True, text=True, check=False, env=environment)


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(root, "dvc", *arguments)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = create_tiny_project(tmp_path_factory.mktemp("project"))
    result = dvc(root, "repro")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert "is empty" not in result.stdout + result.stderr, "DVC warned of files that have nothing to hold"
    return root
