"""One MLflow run for each execution of a stage: events go to a local journal, which another process sends to MLflow.

Nothing here imports MLflow or waits for a server, so a slow server, or none, does not delay the work.
"""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.params.dotted import DottedParams
from pipeline.project.home import project_home
from pipeline.tracking.journal import Journal, new_journal_path, read_progress
from pipeline.tracking.mirror_process import MirrorProcess, inherited_mirror, start_mirror
from pipeline.tracking.store_address import masked, tracking_uri

if TYPE_CHECKING:
    from pipeline.params.schema import Tracking

_PATIENCE_SECONDS = 20.0  # how long a stage that has ended waits for its mirror
_CHECK_SECONDS = 5.0
_POLL_SECONDS = 0.02
VALUE_LIMIT = 500
"""Characters of a parameter that are logged; the rest is cut off."""


@dataclass(frozen=True)
class Experiment:
    """An experiment of MLflow, with tags that are set unless the experiment has them already."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)


class RunTracker:
    """Writes the journal of one run. If the store fails, there is one warning and the work goes on."""

    def __init__(self, tracking: "Tracking", root: Path) -> None:
        self._required = tracking.required
        self._experiment = tracking.experiment
        self._uri = tracking_uri(tracking, root)
        self._root = root.resolve()
        self._home = project_home(root)
        self._journal: Journal | None = None
        self._mirror: MirrorProcess | None = None
        self._warned = False
        self._last_check = time.monotonic()

    def start(
        self,
        name: str,
        *,
        params: DottedParams,
        tags: Mapping[str, str],
        continues: str | None = None,
        experiment: Experiment | None = None,
    ) -> str | None:
        """Create the journal with everything that is known before the work.

        Args:
            name: the name of the run.
            params: the parameters that the stage reads.
            tags: the tags of the run.
            continues: what this method returned in the execution that this one resumes.
            experiment: the experiment of the run; `tracking.experiment` unless given.

        Returns:
            The name of the run's first journal; None if no journal can be written.

        Raises:
            PipelineError: `tracking.required` is true and the run could not be opened.
        """
        values = {key: str(value)[:VALUE_LIMIT] for key, value in sorted(params.items())}
        where = experiment or Experiment(self._experiment)
        start: dict[str, Any] = {"name": name, "experiment": where.name, "experiment_tags": dict(where.tags)}
        start |= {"params": values, "tags": dict(tags)}
        self._mirror = inherited_mirror()
        path = self._mirror.journal if self._mirror is not None else new_journal_path(self._home, name)
        try:
            self._journal = Journal(path, continues=continues, **start)
            if self._mirror is None:
                store = {"MLFLOW_TRACKING_URI": self._uri}
                self._mirror = start_mirror(path, self._root, {**os.environ, **store})
        except OSError as error:
            self._fail(f"the run cannot be tracked: {error}")
        if self._required:
            self._await_open()
        return self._journal.name if self._journal is not None else None

    def log(self, metrics: Mapping[str, float], *, step: int = 0, at: int | None = None) -> None:
        """Log metrics of one step; `at` is their time (ms since 1970), by default now."""
        values = {key: float(value) for key, value in metrics.items()}
        self._append("metrics", step=step, values=values, **({} if at is None else {"at": at}))
        if self._journal is not None and time.monotonic() - self._last_check > _CHECK_SECONDS:
            self._last_check = time.monotonic()
            if read_progress(self._journal.path).error:
                self._warn(self._store_failure())

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags on the run."""
        self._append("tags", tags=dict(tags))

    def tell(self, event: str, **fields: Any) -> None:
        """Log another event: `datasets`, `model`, `files`, `attach`, `candidate` or `lineage`."""
        self._append(event, **fields)

    def keep(self, files: Mapping[str, Path | str]) -> None:
        """Copy files beside the journal, under the names that they will have as artifacts; a text becomes a file.

        They are sent by an event that names their folder: `files` or `attach`.
        """
        if self._journal is None:
            return
        try:
            for name, content in files.items():
                self._journal.keep(content, name)
        except OSError as error:
            self._fail(f"the run is not tracked completely: {error}")

    def finish(self, *, succeeded: bool) -> None:
        """End the run as FINISHED or FAILED, and wait a while for the mirror to send the rest.

        Raises:
            PipelineError: `tracking.required` is true, the stage succeeded, and the run could not be completed.
        """
        self._append("end", status="FINISHED" if succeeded else "FAILED")
        if self._journal is not None and self._mirror is not None:
            must = self._required and succeeded  # a stage that failed has its own error to show
            deadline = time.monotonic() + (float("inf") if must else _PATIENCE_SECONDS)
            # the mirror removes the journal of a complete run
            while self._journal.path.exists() and not self._mirror.ended() and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            if self._journal.path.exists():
                report = self._fail if must else self._warn
                report(self._store_failure())
        self._release()

    def _await_open(self) -> None:
        while self._journal is not None and self._mirror is not None:
            progress = read_progress(self._journal.path)
            if progress.error or self._mirror.ended():
                self._fail(self._store_failure())
            elif progress.run_id:
                return
            time.sleep(_POLL_SECONDS)

    def _append(self, event: str, **fields: Any) -> None:
        if self._journal is None:
            return
        try:
            self._journal.append(event, **fields)
        except OSError as error:
            self._fail(f"the run is not tracked completely: {error}")

    def _store_failure(self) -> str:
        reason = read_progress(self._journal.path).error if self._journal is not None else None
        if reason is None and self._mirror is not None:
            late = f"it has not taken the whole run {_PATIENCE_SECONDS:.0f} s after its end"
            reason = "the process that mirrors the run to it was ended" if self._mirror.ended() else late
        return f"MLflow at {self._uri} failed: {reason}"

    def _fail(self, message: str) -> None:
        if not self._required:
            self._warn(message)
            return
        if self._mirror is not None:
            self._mirror.kill()
        if self._journal is not None:
            with suppress(OSError):
                self._journal.append("end", status="FAILED")
        self._release()
        raise PipelineError(masked(f"{message} (tracking.required is true)"))

    def _warn(self, message: str) -> None:
        if self._warned:
            return
        self._warned = True
        if self._journal is not None:
            kept = self._journal.path.relative_to(self._home)
            message += f". What it has not taken is kept at {kept}; `make sync` uploads it."
        print(masked(f"warning: {message}"), file=sys.stderr, flush=True)

    def _release(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self._journal, self._mirror = None, None
