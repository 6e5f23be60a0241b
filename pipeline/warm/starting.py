"""Starts and ends the waiting process, for `make repro` and for tests."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.environment import stage_environment
from pipeline.warm.waiting import COLD

LIBRARIES = (
    # torch first, as in every stage: whose OpenMP is loaded first may matter
    "torch", "transformers.modeling_utils", "transformers.models.auto.modeling_auto", "transformers.trainer_utils",
    "transformers.models.llama.modeling_llama", "transformers.models.bert.modeling_bert", "accelerate", "peft",
    "pydantic", "dvc.repo", "dvc.dependency.param", "pandas", "pandera.pandas", "scipy.optimize",
    "sklearn.linear_model", "sklearn.feature_extraction.text", "krippendorff", "datasets", "jinja2",
    # of the mirror
    "mlflow", "mlflow.store.tracking.sqlalchemy_store",
)  # fmt: skip
"""What stages import; their mirror included."""
_CLIENT = Path(__file__).with_name("client.py")
_END_SECONDS = 10.0
# found first on the PATH: what is no start of a stage is the environment's own Python, as ever
_PYTHON = """#!/bin/sh
if [ "$1" = -m ] && [ "$2" = pipeline.launch ]; then
    shift 2
    exec {python} -IS {client} {address} {python} "$@"
fi
exec {python} "$@"
"""


@dataclass(frozen=True)
class Waiting:
    """A waiting process, which may still be importing, or have ended."""

    folder: Path
    """Goes in front of the PATH of what starts stages: it has the `python` that asks the waiting process for them."""
    process: "subprocess.Popen[bytes]"

    def path(self, behind: str) -> str:
        """A PATH on which stages start warm."""
        return f"{self.folder}{os.pathsep}{behind}"

    def failure(self) -> str | None:
        """Why stages started cold, in one line; None where nothing is known that made them."""
        try:
            said = (self.folder / "errors").read_text(errors="replace")
        except OSError:
            return f"its folder {self.folder} was removed"
        lines = [line for line in said.splitlines() if line.strip()]
        if self.process.poll() is not None:
            return lines[-1] if lines else f"exit code {self.process.returncode}"
        return next((line for line in reversed(lines) if line.startswith(COLD)), None)


@contextmanager
def waiting_process(
    root: Path, environment: Mapping[str, str], libraries: Sequence[str] = LIBRARIES
) -> Iterator[Waiting]:
    """Start the waiting process; at the end it is gone, with every stage that it still ran.

    Args:
        root: the project's folder.
        environment: of those who will start stages; a stage with another one starts cold.
        libraries: modules that it imports beforehand.

    Raises:
        OSError: the process cannot be started, or this system has not what it needs (it is made for Linux).
    """
    if not sys.platform.startswith("linux"):
        raise OSError("forks of a process that has imported its libraries are safe on Linux alone")
    if not hasattr(os, "pidfd_open"):  # some distributions build Python on systems without it
        raise OSError("this Python has no os.pidfd_open")
    os.close(os.pidfd_open(os.getpid()))  # older kernels have none
    with ExitStack() as stack:
        # not below TMPDIR: the address of a socket must be short
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="stages-", dir="/tmp")))
        ours, lifeline = map(stack.enter_context, socket.socketpair())
        process = _start(folder, lifeline, root, stage_environment(environment), libraries)
        lifeline.close()
        try:
            yield Waiting(folder, process)
        finally:
            ours.shutdown(socket.SHUT_WR)
            process.kill()  # it may be importing
            process.wait()
            # whoever looks after a stage holds the other end until the stage is gone
            ours.settimeout(_END_SECONDS)
            with suppress(TimeoutError):
                ours.recv(1)


def _start(
    folder: Path, lifeline: socket.socket, root: Path, environment: Mapping[str, str], libraries: Sequence[str]
) -> "subprocess.Popen[bytes]":
    address, python = folder / "socket", folder / "python"
    words = {"python": sys.executable, "client": str(_CLIENT), "address": str(address)}
    python.write_text(_PYTHON.format(**{name: shlex.quote(word) for name, word in words.items()}))
    python.chmod(0o755)
    if not os.access(python, os.X_OK):  # a folder that is mounted with noexec
        raise OSError(f"programs in {folder.parent} cannot be run")
    # it listens from now on, so that a stage that comes early waits, which is sooner than importing beside it
    with socket.socket(socket.AF_UNIX) as listening, (folder / "errors").open("wb") as errors:
        listening.bind(str(address))
        listening.listen()
        passed = (listening.fileno(), lifeline.fileno())
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.warm.waiting", *map(str, passed), *libraries],
            cwd=root,
            env=environment,
            pass_fds=passed,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            # a terminal's signals go to the client, which passes them on, once
            start_new_session=True,
        )
