"""The process that mirrors a journal, as the stage sees it.

`pipeline.launch` starts the mirror, so that MLflow is imported while the stage imports its own libraries, and then
replaces itself by the stage. The mirror stays a child of that process; an environment variable tells the stage of it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "PIPELINE_MIRROR"
MIRROR = "pipeline.tracking.mirror"


class MirrorProcess:
    """A child process that mirrors a journal, or waits until the journal is created."""

    def __init__(self, pid: int, journal: Path, process: subprocess.Popen[bytes] | None = None) -> None:
        self.journal = journal
        self._pid = pid
        self._process = process  # kept, because subprocess reaps children whose Popen is gone
        self._ended = False

    def ended(self) -> bool:
        """Whether the process has ended, successfully or not."""
        if not self._ended:
            try:
                self._ended = os.waitpid(self._pid, os.WNOHANG)[0] != 0
            except ChildProcessError:
                self._ended = True
        return self._ended

    def kill(self) -> None:
        """Kill the process; another mirror can continue where it stopped."""
        if not self.ended():
            os.kill(self._pid, signal.SIGKILL)

    def variable(self) -> dict[str, str]:
        """The environment variable from which the stage recreates this object (`inherited_mirror`)."""
        return {VARIABLE: f"{self._pid} {self.journal}"}


def mirror_arguments(journal: Path) -> list[str]:
    """The command line of the mirror of a journal that this process has begun or will begin."""
    return [str(journal), "--follow", str(os.getpid())]


def start_mirror(journal: Path, root: Path, environment: Mapping[str, str]) -> MirrorProcess:
    """Start the mirror of a journal that this process has created or will create.

    Raises:
        OSError: the process cannot be started.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", MIRROR, *mirror_arguments(journal)],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        # errors are stored beside the journal; an inherited pipe would keep readers of the stage's output waiting
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # a session of its own, because Ctrl-C reaches the terminal's whole session and the run must still be ended
        start_new_session=True,
    )
    return MirrorProcess(process.pid, journal, process)


def inherited_mirror() -> MirrorProcess | None:
    """The mirror that `pipeline.launch` started for this process; None if it did not, and for every later call."""
    pid, _, journal = os.environ.pop(VARIABLE, "").partition(" ")
    return MirrorProcess(int(pid), Path(journal)) if pid else None
