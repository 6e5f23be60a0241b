"""The process that mirrors a journal, as the stage sees it.

`pipeline.launch` starts it before the stage's own imports, which take as long as MLflow's, and replaces itself with
the stage: the mirror stays a child of that process, which finds it by an environment variable.
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
    """A child process with the journal that it waits for."""

    def __init__(self, pid: int, journal: Path, process: subprocess.Popen[bytes] | None = None) -> None:
        self.journal = journal
        self._pid = pid
        self._process = process  # without a reference subprocess would wait for it behind our back
        self._ended = False

    def ended(self) -> bool:
        """Whether it has ended, well or not."""
        if not self._ended:
            try:
                self._ended = os.waitpid(self._pid, os.WNOHANG)[0] != 0
            except ChildProcessError:
                self._ended = True
        return self._ended

    def kill(self) -> None:
        """End it now; another mirror can go on where it stopped."""
        if not self.ended():
            os.kill(self._pid, signal.SIGKILL)

    def variable(self) -> dict[str, str]:
        """What the environment of the stage has to say to find it again."""
        return {VARIABLE: f"{self._pid} {self.journal}"}


def mirror_arguments(journal: Path) -> list[str]:
    """The command line of the mirror of a journal that this process has begun or will begin."""
    return [str(journal), "--follow", str(os.getpid())]


def start_mirror(journal: Path, root: Path, environment: Mapping[str, str]) -> MirrorProcess:
    """Start the mirror of a journal that this process has begun or will begin.

    Raises:
        OSError: the process cannot be started.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", MIRROR, *mirror_arguments(journal)],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        # it leaves errors beside the journal; an inherited pipe would keep whoever reads the stage's output waiting
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C goes to all processes of the terminal's session; this one has yet to mark the run failed
        start_new_session=True,
    )
    return MirrorProcess(process.pid, journal, process)


def inherited_mirror() -> MirrorProcess | None:
    """The mirror that the launch of this process started; the second time there is none."""
    pid, _, journal = os.environ.pop(VARIABLE, "").partition(" ")
    return MirrorProcess(int(pid), Path(journal)) if pid else None
