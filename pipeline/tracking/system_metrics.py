"""Load of the machine while a stage runs, on request: MLflow's system metrics, through the journal of the run.

    MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=true make repro

MLflow's own thread stops for good when the server once does not answer; the journal loses nothing.
"""

import os
import time
from pathlib import Path
from typing import Any

from pipeline.tracking.journal import append_to
from pipeline.tracking.store import system_monitors

ENABLE, INTERVAL = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
"""MLflow's own variables: whether to sample, and the interval in seconds (10 unless set)."""


class SystemMetrics:
    """Appends samples to a journal at an interval; does nothing unless the environment asks for it."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        asked = os.environ.get(ENABLE, "").strip().lower() in ("true", "1", "yes", "on")
        self._monitors: list[Any] = system_monitors() if asked else []
        self._seconds = _seconds(os.environ.get(INTERVAL, ""))
        self._due = 0.0
        self._samples = 0

    def sample(self) -> None:
        """Log a sample if one is due: processor, memory, disk, network, and GPUs if there are any."""
        if not self._monitors or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._seconds
        values: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            values |= {f"system/{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        append_to(self._journal, "metrics", step=self._samples, values=values)
        self._samples += 1


def _seconds(text: str) -> float:
    """The number of seconds, or the default for anything else: nobody would see an error of this process."""
    try:
        return max(0.1, float(text))
    except ValueError:
        return 10.0
