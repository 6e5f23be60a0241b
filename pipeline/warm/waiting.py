"""The waiting process: it imports the libraries, and forks for each stage that a client asks for.

    python -m pipeline.warm.waiting SOCKET LIFELINE LIBRARY ...     two descriptors, and what to import

For each client there are two forks: one that looks after the stage, and the stage. It ends, and so do they, when the
other end of the lifeline is closed or shut: with `make repro`, however that ends. Nothing of the project is kept: every
fork imports its modules from the folder that the stage runs in.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from pipeline.warm.client import STARTED, STATUS, inherited

COLD = "cold start of"
"""Begins the line that says why a stage was not taken."""
_PROJECT = ("pipeline", "stages")
_GPUS = ("/dev/nvidia", "/dev/kfd", "/dev/dri")
_REAP_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1
_CHANGES_NOTHING = (
    # of DVC and the shell
    "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "PATH", "PWD", "OLDPWD", "SHLVL", "_",
    # of DVC's queue, where its worker logs
    "CELERY_LOG_FILE", "CELERY_LOG_LEVEL", "CELERY_LOG_REDIRECT", "CELERY_LOG_REDIRECT_LEVEL", "_MP_FORK_LOGFILE_",
    "_MP_FORK_LOGFORMAT_", "_MP_FORK_LOGLEVEL_",
    # read when they are used, long after an import
    "CUDA_VISIBLE_DEVICES", "MLFLOW_TRACKING_URI",
)  # fmt: skip


class _Asked(TypedDict):
    """What a client sends, see `pipeline.warm.client`."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    umask: int
    inherited: list[object]


def import_libraries(names: Sequence[str]) -> None:
    """Import what stages import.

    Raises:
        ImportError: a library cannot be imported.
        RuntimeError: one of them did at its import what a fork does not survive.
    """
    # pyarrow's second allocator, which nothing uses, has a thread
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    for name in names:
        importlib.import_module(name)
    # OpenBLAS ends its threads before each fork, and starts them again where somebody calculates
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    check_forkable()
    gc.freeze()


def check_forkable() -> None:
    """Hold what must not be forked against this process.

    Raises:
        RuntimeError: there are other threads, which a fork lacks, or a GPU's driver is in use, which no fork can use.
    """
    if (threads := len(list(Path("/proc/self/task").iterdir()))) > 1:
        raise RuntimeError(f"{threads} threads, where one can be forked")
    opened = [os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()]
    if used := [name for name in opened if name.startswith(_GPUS)]:
        raise RuntimeError(f"{used[0]} is open: the driver of a GPU does not survive a fork")


def serve(listening: socket.socket, lifeline: socket.socket, begun: Mapping[str, str]) -> list[str]:
    """Fork for every client; returns in a stage's process alone, with its name and arguments.

    Args:
        listening: where clients connect.
        lifeline: ends when `make repro` does.
        begun: the environment with which this process began.
    """
    while True:
        ready = select.select([listening, lifeline], [], [], _REAP_SECONDS)[0]
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if lifeline in ready:
            os._exit(0)  # nothing to tidy up, and somebody waits
        if listening in ready:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                return look_after(connection, lifeline, begun)
            connection.close()


def look_after(connection: socket.socket, lifeline: socket.socket, begun: Mapping[str, str]) -> list[str]:
    """Fork the stage and stay with it to its end; returns in the stage's process alone."""
    me = os.getpid()
    try:
        asked, streams = _receive(connection)
        if (reason := _misfit(asked, begun)) is not None:
            print(COLD, f"{' '.join(asked['arguments'])}: {reason}", file=sys.stderr, flush=True)
            os._exit(0)  # the client sees the connection end, and starts cold
        pid = os.fork()
    except BaseException as error:
        print(COLD, f"a stage: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)  # likewise
    if pid:
        for stream in streams:
            os.close(stream)
        _watch(pid, connection, lifeline)
    end_with_parent(me)
    os.setpgid(0, 0)
    connection.close()
    lifeline.close()
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    return asked["arguments"]


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent ends, which may have happened."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def _receive(connection: socket.socket) -> tuple[_Asked, list[int]]:
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    text = b""
    while not text.endswith(b"\n"):
        part = connection.recv(2**16)
        if not part:
            raise EOFError("the client has gone")
        text += part
    asked: _Asked = json.loads(text)
    return asked, streams


def _misfit(asked: _Asked, begun: Mapping[str, str]) -> str | None:
    """Take on the client's folder and environment; None, or why a stage there needs a process of its own."""
    arguments = asked["arguments"]
    if not arguments or arguments[0].startswith("-"):
        return "no stage is named"
    if asked["inherited"] != inherited():
        return "processor cores, priority, user or limits are not those of the waiting process"
    os.umask(asked["umask"])
    os.chdir(asked["folder"])
    for loaded in [name for name in sys.modules if name.partition(".")[0] in _PROJECT]:
        del sys.modules[loaded]
    sys.path[0] = asked["folder"]
    importlib.invalidate_caches()
    # as the modules of that folder have it: an edit counts from the next stage on
    wanted = importlib.import_module("pipeline.environment").stage_environment(asked["environment"])
    for name in _CHANGES_NOTHING:  # the others are the same, but for what libraries set when they were imported
        if name in wanted:
            os.environ[name] = wanted[name]
        else:
            os.environ.pop(name, None)
    other = [name for name in sorted({*begun, *wanted} - {*_CHANGES_NOTHING}) if begun.get(name) != wanted.get(name)]
    return f"not the environment of the waiting process: {', '.join(other)}" if other else None


def _watch(pid: int, connection: socket.socket, lifeline: socket.socket) -> None:
    """Pass signals on, kill the stage when its client or `make repro` has gone, and tell how it ended."""
    with suppress(PermissionError):  # it did so itself, and has replaced itself
        os.setpgid(pid, pid)
    ended = os.pidfd_open(pid)
    try:
        connection.sendall(STARTED)
        while True:
            ready = select.select([ended, connection.fileno(), lifeline.fileno()], [], [])[0]
            if ended in ready or lifeline.fileno() in ready:
                break
            number = connection.recv(1)
            if not number:
                break  # the client has gone
            os.killpg(pid, number[0])
    except OSError:  # likewise
        pass
    if not select.select([ended], [], [], 0)[0]:
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        connection.sendall(STATUS.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def main() -> None:
    """Wait, and become the stages that are asked for."""
    listening, lifeline = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    begun = dict(os.environ)
    import_libraries(sys.argv[3:])
    arguments = serve(listening, lifeline, begun)
    try:
        importlib.import_module("pipeline.warm.stage").run(*arguments)
    except KeyboardInterrupt:  # Python itself ends by the signal, and so does this
        traceback.print_exc()
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
