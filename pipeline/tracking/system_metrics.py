"""What the machine does while a stage runs, on request: MLflow's system metrics, through the journal of the run.

    MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=true make repro

MLflow's own thread gives up when the server does not answer once; here nothing is lost then.
"""

import os
import time
from pathlib import Path
from typing import Any

from pipeline.tracking.journal import append_to
from pipeline.tracking.store import system_monitors

ENABLE, INTERVAL = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
"""MLflow's own variables: whether, and every how many seconds (10 unless set)."""


class SystemMetrics:
    """Appends a sample to a journal now and then; does nothing unless it was asked for."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        asked = os.environ.get(ENABLE, "").strip().lower() in ("true", "1", "yes", "on")
        self._monitors: list[Any] = system_monitors() if asked else []
        self._seconds = _seconds(os.environ.get(INTERVAL, ""))
        self._due = 0.0
        self._samples = 0

    def sample(self) -> None:
        """Take and note one where it is time for it: processor, memory, disk, network, and GPUs where there are any."""
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
    """A number of seconds, the default where it is none: nobody reads what this process could say of it."""
    try:
        return max(0.1, float(text))
    except ValueError:
        return 10.0
