"""One SQLite store for all tracking tests, and stages as small as their tracking."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pytest

from pipeline.params.schema import Tracking
from pipeline.tracking import tracker as tracking_module
from pipeline.tracking.mirror_process import MirrorProcess, mirror_arguments
from tests.conftest import ROOT
from tests.tracking import warm_mirror

UNREACHABLE = "http://127.0.0.1:9"

_STAGE = """
import signal, sys, time
from pathlib import Path
from pipeline.params.schema import Tracking
from pipeline.tracking.tracker import RunTracker

# a shell starts what it puts into the background with SIGINT ignored, and children inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
name, *waits = sys.argv[1:]
tracker = RunTracker(Tracking(experiment="tests", uri="sqlite:///mlflow.db", required=False), Path.cwd())
tracker.start(name, params={"a": 1}, tags={"stage": name})
assert "mlflow" not in sys.modules
for step in range(1, 21):
    tracker.log({"loss": 1 / step}, step=step)
try:
    if waits:
        print("waits", flush=True)
        time.sleep(120)
except KeyboardInterrupt:
    tracker.finish(succeeded=False)
    sys.exit(130)
tracker.finish(succeeded=True)
"""


@pytest.fixture(scope="session")
def root(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with its store."""
    root = tmp_path_factory.mktemp("tracking")
    shutil.copy(empty_store, root / "mlflow.db")
    return root


@pytest.fixture(autouse=True)
def tracking_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server of the user's, no patience with one, and this code wherever a process is started."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="session")
def mirrors() -> Iterator[Path]:
    """Where a process listens that has imported MLflow, and forks for each mirror."""
    with TemporaryDirectory(prefix="mirrors-", dir="/tmp") as folder:  # the address of a socket must be short
        address = Path(folder, "socket")
        command = [sys.executable, "-m", warm_mirror.__name__, str(address)]
        with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None and server.stdout.readline() == "ready\n"
            yield address
            server.kill()


@pytest.fixture(autouse=True)
def started_warm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirrors of trackers in this process start warm; those that stages of their own start do not."""

    def start_mirror(journal: Path, root: Path, environment: Mapping[str, str]) -> MirrorProcess:
        address = request.getfixturevalue("mirrors")
        command = [sys.executable, "-IS", warm_mirror.__file__, str(address), *mirror_arguments(journal)]
        process = subprocess.Popen(command, cwd=root, env=environment, start_new_session=True)
        return MirrorProcess(process.pid, journal, process)  # type: ignore[arg-type]

    monkeypatch.setattr(tracking_module, "start_mirror", start_mirror)


@pytest.fixture
def start_stage() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that tracks 20 steps; with `waits` it then waits to be killed."""
    processes: list[subprocess.Popen[str]] = []

    def start(root: Path, name: str, *, waits: bool = False) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _STAGE, name, *(["waits"] if waits else [])]
        process = subprocess.Popen(command, cwd=root, text=True, stdout=subprocess.PIPE, start_new_session=True)
        processes.append(process)
        if waits:
            assert process.stdout is not None and process.stdout.readline() == "waits\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def tracking(**changes: Any) -> Tracking:
    """The section of params.yaml."""
    return Tracking(**{"experiment": "tests", "uri": "sqlite:///mlflow.db", "required": False} | changes)


def client(root: Path) -> mlflow.MlflowClient:
    """A client of the store in `root`."""
    return mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


def only_run(root: Path, name: str) -> Any:
    """The run of stage `name`; fails when there are several."""
    experiment = client(root).get_experiment_by_name("tests")
    assert experiment is not None
    (run,) = client(root).search_runs([experiment.experiment_id], f"tags.stage = '{name}'")
    return run


def history(root: Path, run: Any, key: str) -> list[tuple[int, float]]:
    """Every point of a metric, those sent twice included, as (step, value)."""
    return [(point.step, point.value) for point in client(root).get_metric_history(run.info.run_id, key)]


def journals(root: Path) -> list[Path]:
    """Runs that the store does not have completely."""
    return sorted((root / ".state/tracking").glob("*.jsonl"))


def wait_until(condition: Callable[[], Any], seconds: float = 300.0) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def sync(root: Path, uri: str | None = None) -> subprocess.CompletedProcess[str]:
    """`make sync` in `root`, to the store there or to `uri`."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri or f"sqlite:///{root / 'mlflow.db'}"}
    command = [sys.executable, "-m", "pipeline.tracking.sync"]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
