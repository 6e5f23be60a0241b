"""Runs stages in forked processes and kills them: `python -m tests.tiny_pipeline.killing PROJECT STAGE KILLS SEED`.

One process imports the libraries, which takes seconds, and each execution of the stage is a fork of it. Prints how
many executions were killed, and how many of the later ones went on from a state.
"""

import importlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pipeline.stage.tracking as tracking
from pipeline.stage.run import _execute


def main() -> None:
    """Kill, again and again, then let it finish; exit with the last execution's code."""
    project, name, kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    script, _, variant = name.partition("@")
    stage = importlib.import_module(f"stages.{script}").main
    os.chdir(project)
    tracking.start_mirror = _no_mirror
    log = Path(f".state/killing-{name}.log")
    log.parent.mkdir(exist_ok=True)
    log.write_text("")
    rng = random.Random(seed)

    def execute() -> int:
        pid = os.fork()
        if pid == 0:
            descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            os._exit(_execute(stage, name, variant or None, show_traceback=True))
        return pid

    start = time.monotonic()
    killed = 0
    pid = execute()
    _, status = os.waitpid(pid, 0)
    whole = time.monotonic() - start
    if status != 0:
        sys.exit(log.read_text())
    for _ in range(kills):
        pid = execute()
        time.sleep(rng.uniform(0.3, 1.0) * whole)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed += os.WIFSIGNALED(status)
    _, status = os.waitpid(execute(), 0)
    resumed = log.read_text().count("resumes from the state")
    print(json.dumps({"killed": killed, "resumed": resumed, "seconds": whole}))
    if status != 0:
        sys.exit(log.read_text()[-3000:])


def _no_mirror(*arguments: object) -> None:
    raise OSError("no run is tracked here")


if __name__ == "__main__":
    main()
