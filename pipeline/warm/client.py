"""Asks the waiting process for a stage, and stands for it: `python -IS client.py SOCKET PYTHON STAGE [ARGUMENT ...]`.

A program of its own, which imports little of the standard library and nothing else, because each stage waits for it.
It hands its streams, folder and environment over, passes signals on, and ends as the stage ends: with its exit code, or
killed by the same signal. Where the waiting process does not take the stage, it becomes `python -m pipeline.launch`.
"""

import json
import os
import resource
import signal
import socket
import struct
import sys
from typing import NoReturn

STARTED = b"+"
STATUS = struct.Struct("!i")
"""How a stage ended: its exit code, or minus the signal that killed it."""
PASSED_ON = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT,
)  # fmt: skip


def main() -> None:
    """Run the stage, warm or cold."""
    address, python, *arguments = sys.argv[1:]
    _open_streams()
    # nothing to tell before there is a stage
    signal.signal(signal.SIGINT, _unless_ignored(signal.SIGINT, signal.SIG_DFL))
    connection = _ask(address, arguments)
    if connection is None:
        os.execv(python, [python, "-m", "pipeline.launch", *arguments])
    for number in PASSED_ON:
        signal.signal(number, _unless_ignored(number, lambda number, _: connection.send(bytes([number]))))
    signal.signal(signal.SIGTSTP, lambda *_: _pause(connection))
    status = connection.recv(STATUS.size, socket.MSG_WAITALL)
    if len(status) < STATUS.size:
        sys.exit("error: the process that looks after the stage was killed, and the stage with it. Run it again.")
    _end(*STATUS.unpack(status))


def _open_streams() -> None:
    """Give a stream that is closed somewhere to go: the socket would take its number, and be handed over for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _ask(address: str, arguments: list[str]) -> socket.socket | None:
    """A connection to whoever looks after the stage, None where it has to start cold."""
    connection = socket.socket(socket.AF_UNIX)
    folder = os.getcwd()  # noqa: PTH109 -- pathlib takes longer to import than all else here
    asked = {"arguments": arguments, "folder": folder, "environment": dict(os.environ), "umask": _umask()}
    try:
        connection.connect(address)
        socket.send_fds(connection, [b"-"], [0, 1, 2])
        connection.sendall(json.dumps({**asked, "inherited": inherited()}).encode() + b"\n")
        return connection if connection.recv(1) == STARTED else None
    except OSError:
        return None


def inherited() -> list[object]:
    """What a process has from the one that started it, beside environment, streams, folder and umask."""
    limits = [resource.getrlimit(value) for name, value in sorted(vars(resource).items()) if name.startswith("RLIMIT_")]
    cores = sorted(os.sched_getaffinity(0))
    return [cores, os.getpriority(os.PRIO_PROCESS, 0), os.getuid(), os.getgid(), [list(pair) for pair in limits]]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unless_ignored(number, handler):  # type: ignore[no-untyped-def]
    """A signal that is ignored stays so, as `nohup` wants it."""
    return signal.SIG_IGN if signal.getsignal(number) == signal.SIG_IGN else handler


def _pause(connection: socket.socket) -> None:
    """Ctrl-Z: both stop, and SIGCONT is passed on."""
    connection.send(bytes([signal.SIGSTOP]))
    os.kill(os.getpid(), signal.SIGSTOP)


def _end(status: int) -> NoReturn:
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the core is the stage's
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
