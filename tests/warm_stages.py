"""Stages that need not import their libraries: a `python` to put in front of the real one on the PATH.

What it is asked to run as `python -m pipeline.launch STAGE ...` a waiting process runs as a fork of itself, in the
caller's folder, environment and streams. That process has imported the libraries, which takes most of the time of a
tiny stage, and nothing of the project: each stage imports the project's modules, from the folder that it runs in. The
launch is the project's own, too; only where it starts the mirror and replaces itself by the stage there is a fork.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from pipeline.environment import ENVIRONMENT

_ROOT = Path(__file__).resolve().parent.parent
_POPEN, _EXECVE = subprocess.Popen, os.execve
_LIBRARIES = (
    "torch", "transformers.modeling_utils", "transformers.models.auto.modeling_auto", "transformers.trainer_utils",
    "transformers.models.llama.modeling_llama", "transformers.models.bert.modeling_bert", "accelerate", "peft",
    "pandas", "pandera.pandas", "scipy.optimize", "sklearn.linear_model", "sklearn.feature_extraction.text", "datasets",
    "krippendorff", "matplotlib.pyplot", "pydantic", "dvc.repo", "dvc.dependency.param", "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
)  # fmt: skip

# little of the standard library and nothing else: for this each stage still waits
_PYTHON = """#!{python} -IS
import json, os, socket, sys

if sys.argv[1:3] != ["-m", "pipeline.launch"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
asked = {{"arguments": sys.argv[3:], "folder": os.getcwd(), "environment": dict(os.environ)}}
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    socket.send_fds(connection, [b"-"], [0, 1, 2])
    connection.sendall(json.dumps(asked).encode())
    connection.shutdown(socket.SHUT_WR)
    status = connection.recv(1)
sys.exit(status[0] if status else "the process that runs stages has died")
"""


@contextmanager
def warm_stages() -> Iterator[Path]:
    """Start the waiting process, and yield the folder of its `python`."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # the address of a socket must be short
        address, python = Path(folder, "socket"), Path(folder, "python")
        python.write_text(_PYTHON.format(python=sys.executable, address=str(address)))
        python.chmod(0o755)
        environment = {**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.warm_stages", str(address)]
        # it ends when its stdin does: with this block, or with this process
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, cwd=_ROOT, env=environment, text=True, **pipes) as server:
            assert server.stdout is not None and server.stdout.readline() == "ready\n"
            yield Path(folder)
            assert server.stdin is not None
            server.stdin.close()


def _serve(address: str) -> None:
    for name in _LIBRARIES:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork has none of the threads"
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        while sys.stdin not in (ready := select.select([listening, sys.stdin], [], [], 1.0)[0]):
            if ready:
                connection, _ = listening.accept()
                if os.fork() == 0:
                    _answer(connection)
                connection.close()
            with suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)


def _fork(work: Callable[[], None]) -> int:
    """A child process that does some work and ends as an interpreter does; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _answer(connection: socket.socket) -> NoReturn:
    """Run what is asked for and say how it ended."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    parts = iter(lambda: connection.recv(2**16), b"")
    asked = json.loads(b"".join(parts))

    def stage() -> None:
        connection.close()
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
            os.close(stream)
        os.chdir(asked["folder"])
        _launch(asked["arguments"], asked["environment"])

    pid = _fork(stage)
    for stream in streams:
        os.close(stream)
    _, status = os.waitpid(pid, 0)
    connection.sendall(bytes([os.waitstatus_to_exitcode(status) % 256]))
    os._exit(0)


class _ReplacedError(Exception):
    """The process is to go on as another one."""


def _run(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """`python -m MODULE ARGUMENT ...` in this process."""
    for loaded in [name for name in sys.modules if name.partition(".")[0] in ("pipeline", "stages")]:
        del sys.modules[loaded]
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = str(Path.cwd())
    sys.argv = ["-m", *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _launch(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """`python -m pipeline.launch ARGUMENT ...`, and what it starts and becomes."""
    subprocess.Popen = _Mirror
    os.execve = _replace
    try:
        _run("pipeline.launch", arguments, environment)
    except _ReplacedError as replaced:
        _restore()
        _run(*replaced.args)


def _restore() -> None:
    subprocess.Popen = _POPEN
    os.execve = _EXECVE


def _replace(python: str, command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    raise _ReplacedError(command[2], command[3:], environment)


class _Mirror(_POPEN):
    """The mirror, as the launch starts it: in a session of its own, with nothing to read and nobody to tell."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], **_: Any) -> None:
        self.pid = _fork(lambda: self._mirror(command, env))

    def _mirror(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        _restore()
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        _run(command[2], command[3:], environment)


if __name__ == "__main__":
    _serve(sys.argv[1])
