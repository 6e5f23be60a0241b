"""One execution of `dvc repro`, watched through its log and the states that its stages save, and killed."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from benchmarks.kill_plan import Moment, StageTime
from pipeline.project.lock_copy import mend_lock

_BEGINS = re.compile(r"^▶ (\S+)$", re.MULTILINE)
_RESUMES = "resumes from the state"
_LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class Hit:
    """A kill that found its stage at work."""

    stage: str
    step: int
    """Rows in the training history when it fell."""
    begun: int
    """Which execution of the stage it hit, from 1, in its whole run."""
    resumed: bool = False
    """Whether the next execution went on from a state."""

    def followed(self, root: Path) -> "Hit":
        """With what the stage's next execution said; a stage that had ended is not executed again: step 0."""
        log = (root / Repro.LOG).read_text()
        later = [text for name, text in _executions(log) if name == self.stage][self.begun :]
        return replace(self, resumed=_RESUMES in later[0]) if later else replace(self, step=0)


class Repro:
    """`dvc repro` in a process group of its own; its output is appended to a log."""

    LOG: ClassVar[str] = ".state.log"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._log = root / self.LOG
        self._log.touch()
        self._before = len(self._log.read_text())
        environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        mend_lock(root)  # as `make repro` does first
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                ["dvc", "repro"], cwd=root, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def stage(self) -> str | None:
        """The stage that began last in this execution."""
        begun = _BEGINS.findall(self._log.read_text()[self._before :])
        return begun[-1] if begun else None

    def steps(self, stage: str) -> int:
        """Rows of its training history so far."""
        histories = (self._root / ".state/resume" / stage).glob("*/history.jsonl")
        return sum(_lines(history) for history in histories)

    def kill_at(self, moment: Moment, times: Mapping[str, StageTime]) -> Hit | None:
        """Wait for the moment and kill; None when the run had passed it, which then has ended or been interrupted."""
        time_of = times[moment.stage]
        order = list(times)
        since = None
        while self.running:
            time.sleep(_LOOK_SECONDS)
            stage = self.stage
            if stage is None or order.index(stage) < order.index(moment.stage):
                continue
            if stage != moment.stage:  # too late
                self._kill()
                return None
            since = time.monotonic() if since is None else since
            if self._reached(moment, time_of, since):
                step = self.steps(stage)
                begun = sum(name == stage for name, _ in _executions(self._log.read_text()))
                self._kill()
                return Hit(stage, step, begun)
        self._check()
        return None

    def finish(self) -> None:
        """Let it end.

        Raises:
            SystemExit: it failed, with the end of its log.
        """
        self._process.wait()
        self._check()

    def _reached(self, moment: Moment, time_of: StageTime, since: float) -> bool:
        if time_of.steps:
            return self.steps(moment.stage) >= max(1, round(moment.fraction * time_of.steps))
        return time.monotonic() - since >= moment.fraction * time_of.seconds

    def _kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _check(self) -> None:
        if self._process.returncode != 0:
            raise SystemExit(f"dvc repro ended with {self._process.returncode}:\n{self._log.read_text()[-4000:]}")


def measure_stages(root: Path) -> dict[str, StageTime]:
    """A whole run, undisturbed: how long each stage works and how many steps it trains, in the order of the graph."""
    repro = Repro(root)
    begun: dict[str, float] = {}
    steps: dict[str, int] = {}
    while repro.running:
        time.sleep(_LOOK_SECONDS)
        stage = repro.stage
        if stage is not None:
            begun.setdefault(stage, time.monotonic())
            steps[stage] = max(steps.get(stage, 0), repro.steps(stage))
    repro.finish()
    ends = [*list(begun.values())[1:], time.monotonic()]
    return {
        stage: StageTime(end - start, steps[stage]) for (stage, start), end in zip(begun.items(), ends, strict=True)
    }


def _executions(log: str) -> list[tuple[str, str]]:
    """Stage and output of each execution in a log."""
    _, *parts = _BEGINS.split(log)
    return list(zip(parts[::2], parts[1::2], strict=True))


def _lines(path: Path) -> int:
    try:
        return path.read_text().count("\n")
    except FileNotFoundError:  # the stage has just succeeded
        return 0
