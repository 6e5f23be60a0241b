"""Runs stages in forked processes and kills them: `python -m tests.tiny_pipeline.killing PROJECT KILLS SEED STAGE ...`.

One process imports the libraries, which takes seconds, and each execution of a stage is a fork of it. Prints a line of
JSON a stage: how many executions were killed, and how many of the later ones went on from a state.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pipeline.tracking.tracker as tracking
from tests.recipes.running import execution


def main() -> None:
    """Kill, again and again, then let it finish; exit with what a stage said that failed."""
    project, kills, seed, *names = sys.argv[1:]
    os.chdir(project)
    tracking.start_mirror = _no_mirror
    for name in names:
        result = kill_stage(name, kills=int(kills), rng=random.Random(f"{seed}/{name}"))
        print(json.dumps({"stage": name, **result}), flush=True)


def kill_stage(name: str, *, kills: int, rng: random.Random) -> dict[str, float]:
    """Kill a stage that often, at random moments of its time or once it has saved a state, then let it finish.

    How long it takes undisturbed is the shorter of two executions; the first one is slower. One that ended before it
    was killed does not count.
    """
    stage = execution(name, Path.cwd())
    log = Path(f".state/killing-{name}.log")
    log.parent.mkdir(exist_ok=True)
    log.write_text("")

    def execute() -> int:
        pid = os.fork()
        if pid == 0:
            descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            os._exit(stage())
        return pid

    def finish() -> None:
        _, status = os.waitpid(execute(), 0)
        if status != 0:
            sys.exit(log.read_text()[-3000:])

    whole = float("inf")
    for _ in range(2):
        start = time.monotonic()
        finish()
        whole = min(whole, time.monotonic() - start)
    killed, executions = 0, 0
    while killed < kills and executions < 5 * kills:
        executions += 1
        pid = execute()
        # every other one as soon as there is a state: on a busy machine a random moment may fall on the start each time
        if executions % 2:
            time.sleep(rng.uniform(0.3, 1.0) * whole)
        else:
            wait_for_a_state(name, seconds=5 * whole)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed += os.WIFSIGNALED(status)
    finish()
    return {"killed": killed, "resumed": log.read_text().count("resumes from the state"), "seconds": whole}


def wait_for_a_state(name: str, *, seconds: float) -> None:
    """Until the stage has saved what a later execution can go on with."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not any(Path(".state/resume", name).glob("*/*.pt")):
        time.sleep(0.005)


def _no_mirror(*arguments: object) -> None:
    raise OSError("no run is tracked here")


if __name__ == "__main__":
    main()
