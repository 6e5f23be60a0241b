"""One MLflow run for each execution of a stage. The only module that imports MLflow."""

import fcntl
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.params.schema import Tracking

_BATCH = 500  # metrics in one request; the server takes 1000
_PARAMS_BATCH = 100
_FLUSH_SECONDS = 5.0
_VALUE_LIMIT = 500


class RunTracker:
    """Buffers metrics and sends them in batches; a store that fails costs a warning, not the training run."""

    def __init__(self, tracking: Tracking, root: Path) -> None:
        self._required = tracking.required
        self._experiment = tracking.experiment
        # always explicit: a leftover mlruns/ folder would flip MLflow's default store
        self._uri = os.environ.get("MLFLOW_TRACKING_URI") or _absolute_sqlite(tracking.uri, root)
        self._lock_file = root / ".state" / "mlflow.lock"
        self._client: Any = None
        self._run_id: str | None = None
        self._buffer: list[Any] = []
        self._last_flush = time.monotonic()

    def start(self, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Open the run and log what is known before the work."""

        def open_run() -> None:
            import mlflow
            from mlflow.entities import Param

            self._lock_file.parent.mkdir(exist_ok=True)
            # two processes that create the SQLite store at once break each other's migration
            with self._lock_file.open("w") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                mlflow.set_tracking_uri(self._uri)
                experiment = mlflow.set_experiment(self._experiment)
            self._client = mlflow.MlflowClient()
            run = self._client.create_run(experiment.experiment_id, run_name=name, tags=dict(tags))
            self._run_id = run.info.run_id
            entries = [Param(key, str(value)[:_VALUE_LIMIT]) for key, value in sorted(params.items())]
            for start in range(0, len(entries), _PARAMS_BATCH):
                self._client.log_batch(self._run_id, params=entries[start : start + _PARAMS_BATCH])

        self._attempt(open_run)

    def log(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Buffer metrics of one step."""
        if self._run_id is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._buffer += [Metric(key, float(value), now, step) for key, value in metrics.items()]
        if len(self._buffer) >= _BATCH or time.monotonic() - self._last_flush > _FLUSH_SECONDS:
            self._flush()

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags on the run."""
        if self._run_id is None:
            return
        from mlflow.entities import RunTag

        entries = [RunTag(key, value) for key, value in sorted(tags.items())]
        self._attempt(lambda: self._client.log_batch(self._run_id, tags=entries))

    def finish(self, *, succeeded: bool) -> None:
        """Send what is buffered and close the run as FINISHED or FAILED."""
        self._flush()
        if self._run_id is not None:
            status = "FINISHED" if succeeded else "FAILED"
            self._attempt(lambda: self._client.set_terminated(self._run_id, status))

    def _flush(self) -> None:
        if self._run_id is None:
            return
        while self._buffer and self._run_id is not None:
            batch, self._buffer = self._buffer[:_BATCH], self._buffer[_BATCH:]
            self._attempt(lambda batch=batch: self._client.log_batch(self._run_id, metrics=batch))  # type: ignore[misc]
        self._last_flush = time.monotonic()

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # MLflow raises anything from SQLAlchemy to requests
            reason = " ".join(str(error).split())[:300]
            if self._required:
                raise PipelineError(f"MLflow at {self._uri} failed: {reason} (tracking.required is true)") from error
            print(
                f"warning: MLflow at {self._uri} failed, this run goes on untracked: {reason}",
                file=sys.stderr,
                flush=True,
            )
            self._run_id = None


def _absolute_sqlite(uri: str, root: Path) -> str:
    prefix = "sqlite:///"
    relative = uri.removeprefix(prefix)
    if not uri.startswith(prefix) or relative.startswith("/"):
        return uri
    return f"{prefix}{(root / relative).resolve()}"
