"""Run a command whose stages start warm: `python -m pipeline.warm dvc repro`. `make repro` does; `WARM=0` does not.

A process imports the libraries meanwhile, and each stage is a fork of it (pipeline/warm/waiting.py). It ends with the
command, and stages that are left end with it. Where it cannot work, stages start as they do without it.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from pipeline.warm.starting import waiting_process
from pipeline.warm.waiting import end_with_parent


def main() -> None:
    """End as the command ends."""
    command = sys.argv[1:]
    if not command or command[0].startswith("-"):
        sys.exit(__doc__)
    if shutil.which(command[0]) is None:
        sys.exit(f"error: there is no command {command[0]}")
    with ExitStack() as stack:
        try:
            waiting = stack.enter_context(waiting_process(Path.cwd(), os.environ))
        except OSError as error:
            _note(error)
            status = run(command)
        else:
            if "MAKELEVEL" in os.environ:  # the recipe has put this in the place of make's shell
                end_with_parent(os.getppid(), signal.SIGTERM)
            status = run(command, PATH=waiting.path(os.environ["PATH"]))
            if reason := waiting.failure():
                _note(reason)
    sys.exit(status if status >= 0 else 128 - status)


def run(command: list[str], **environment: str) -> int:
    """Run a command with further variables; signals that this process gets are the command's, until it has ended."""
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _: object) -> None:
        if process is None:
            early.append(number)
        else:
            process.send_signal(number)

    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, pass_on)
    process = subprocess.Popen(command, env={**os.environ, **environment})
    # a terminal sends its own to the command as well
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in early:
        process.send_signal(number)
    return process.wait()


def _note(reason: object) -> None:
    print(f"note: stages start slowly, as with WARM=0: {reason}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # before the command was there to be told
        sys.exit(128 + signal.SIGINT)
