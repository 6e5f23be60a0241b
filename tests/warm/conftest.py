"""A project whose stages are a few lines each, and a process that waits for them without any library."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.environment import ENVIRONMENT
from pipeline.warm.starting import Waiting, waiting_process
from tests.conftest import ROOT

_MIRROR = """
import os, pathlib, sys, time
stdout = os.readlink("/proc/self/fd/1")
pathlib.Path("mirror").write_text(f"{os.getpid()} {os.getppid()} {os.getsid(0)} {sys.argv[1:]} {stdout}")
stage = int(sys.argv[3])
while os.getppid() == stage:
    time.sleep(0.01)
"""


class Project:
    """Stages as texts, and how to start them."""

    def __init__(self, root: Path, waiting: Waiting) -> None:
        self.root, self.waiting = root, waiting
        self.environment = {**environment(), "PATH": waiting.path(os.environ["PATH"])}

    def start(self, code: str, *arguments: str, **how: Any) -> "subprocess.Popen[str]":
        """Start `python -m pipeline.launch` for a stage with this code."""
        # Python would take the compiled code of a text of the same second and length
        shutil.rmtree(self.root / "stages/__pycache__", ignore_errors=True)
        (self.root / "stages/tiny.py").write_text(code)
        command = ["python", "-m", "pipeline.launch", "tiny", *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        how = {"cwd": self.root, "env": self.environment, "text": True, "preexec_fn": _end_at_hangup, **pipes, **how}
        return subprocess.Popen(command, **how)

    def run(self, code: str, *arguments: str, said: str = "", **how: Any) -> tuple[int, str, str]:
        """How the stage ended, and what it wrote to stdout and stderr."""
        with self.start(code, *arguments, **how) as process:
            out, err = process.communicate(said, timeout=300)
        return process.returncode, out, err


def _end_at_hangup() -> None:
    """Whoever runs the tests may ignore it (nohup), and a stage would, too."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def environment() -> dict[str, str]:
    """That of this process, without what pytest changes from test to test and what would hide a buffer.

    And without what commands that other tests called have set here as if the shell had.
    """
    left_out = ("PYTEST", "PYTHONUNBUFFERED", *ENVIRONMENT)
    return {key: value for key, value in os.environ.items() if not key.startswith(left_out)}


@pytest.fixture(scope="module")
def fake_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "pipeline", root / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "pipeline/tracking/mirror.py").write_text(_MIRROR)
    (root / "stages").mkdir()
    (root / "stages/__init__.py").touch()
    return root


@pytest.fixture
def project(fake_root: Path) -> Iterator[Project]:
    with waiting_process(fake_root, environment(), ()) as waiting:
        yield Project(fake_root, waiting)


def wait_for(condition: Callable[[], Any], *, seconds: float = 300) -> Any:
    """The first true value of a condition.

    Raises:
        AssertionError: there was none in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
