"""Sends journals of runs to MLflow; the only module that imports it.

    python -m pipeline.tracking.mirror JOURNAL --follow PID   beside the stage PID, which starts it
    python -m pipeline.tracking.mirror --all                  what is left of runs that have ended

A mirror may be killed at any moment, and another goes on. It finds the run by the journal's name, a tag of the run,
and what it sends a second time the store recognises: a parameter or a tag is set to the value that it has, and of
metrics with the same key, step, time and value every SQL store keeps one, behind a server or not.
"""

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.launch import ENVIRONMENT
from pipeline.params.loading import load_params
from pipeline.project.home import project_home
from pipeline.tracking.journal import FOLDER, JournalReader, hold, read_progress, remove_journal, write_progress
from pipeline.tracking.run_status import KILLED, RUNNING, RunStatus
from pipeline.tracking.tracker import absolute_store, masked, tracking_uri

_BATCH = 500  # metrics in one request; the server takes 1000
_SEND_SECONDS = 5.0
_RETRY_SECONDS = 15.0
_POLL_SECONDS = 0.05
_EXECUTION = "journal.newest"
"""Tag of a run: the journal of the newest execution of its stage that the store knows of."""


class Mirror:
    """Sends one journal to one store, from where an earlier mirror of it stopped."""

    def __init__(self, journal: Path, uri: str) -> None:
        self.journal = journal
        self.status = RUNNING
        self._uri = uri
        self._lock_file = journal.parent.with_name("mlflow.lock")
        self._newest = True
        self._reader = JournalReader(journal)
        self._progress = read_progress(journal)
        self._client: Any = None
        self._pending: list[dict[str, Any]] = []
        self._end_time = 0

    def read(self) -> bool:
        """Take in what was appended to the journal; returns whether the stage has written its end."""
        for event in self._reader.read():
            self._pending.append(event)
            self._end_time = event["time"]
            if event["event"] == "end":
                self.status = event["status"]
        return self.status != RUNNING

    def send(self) -> None:
        """Send what was read, and store after each batch how far it went."""
        if self._client is None:
            self._open()
        while self._pending:
            batch = self._pending[: _batch_length(self._pending)]
            entities = _entities(batch)
            if not self._newest:
                del entities["tags"]  # what a later execution said of the run holds
            self._client.log_batch(self._progress.run_id, **entities, synchronous=True)
            del self._pending[: len(batch)]
            self._note(lines=self._progress.lines + len(batch), error=None)

    def close(self) -> str:
        """After `send`: end the run as its stage did, and remove the journal; returns the status of the run.

        A stage that left no end was killed: MLflow's KILLED, since FAILED says that it stopped with an error of its
        own. Its run ends with the last sign of life, unless another execution has gone on with it.
        """
        if self.status == RUNNING:
            self.status = KILLED
        run_id, execution = self._progress.run_id, self.journal.stem
        with _locked(self._lock_file):
            known = _known_status(self._client.get_run(run_id))
            then = known.closed(execution, self.status)
            if then != known or known.status == RUNNING:
                self._client.set_tag(run_id, _EXECUTION, then.execution)
                if then.status == self.status:
                    self._client.set_terminated(run_id, then.status, self._end_time)
        self._reader.close()
        remove_journal(self.journal)
        return then.status

    def note_error(self, error: Exception) -> None:
        """Leave the reason of a failure to the stage."""
        self._note(error=_reason(error))

    def _open(self) -> None:
        start = self._pending[0]
        client = connect(self._uri, self._lock_file)
        with _locked(self._lock_file):
            experiment = client.get_experiment_by_name(start["experiment"])
            experiment_id = experiment.experiment_id if experiment else client.create_experiment(start["experiment"])
            found = client.search_runs([experiment_id], f"tags.journal = '{start['journal']}'", max_results=1)
            run = found[0] if found else _create_run(client, experiment_id, start)
            run_id = run.info.run_id
            then = _known_status(run).opened(self.journal.stem)
            self._newest = then.execution == self.journal.stem
            if self._newest:
                more = {**start["tags"], _EXECUTION: then.execution}
                client.log_batch(run_id, tags=_tags(more), synchronous=True)
            if then.status != run.info.status:
                client.update_run(run_id, status=then.status)  # it was killed, and goes on
        client.log_batch(run_id, params=_params(start), synchronous=True)
        # another run than before: the store is a new one, or somebody deleted the run
        sent = min(self._progress.lines, len(self._pending)) if self._progress.run_id == run_id else 0
        del self._pending[:sent]
        self._note(run_id=run_id, lines=sent, error=None)
        self._client = client

    def _note(self, **changes: Any) -> None:
        self._progress = replace(self._progress, **changes)
        write_progress(self.journal, self._progress)


def follow(journal: Path, stage_pid: int, root: Path) -> int:
    """Mirror the journal of a stage, the parent process, which may not have begun it; returns the exit code."""
    import mlflow  # noqa: F401 - takes as long as the stage's own imports, which go on meanwhile

    while not journal.exists() and os.getppid() == stage_pid:
        time.sleep(_POLL_SECONDS)
    with hold(journal, alone=False) as held:
        if not held:
            return 0
        mirror = Mirror(journal, _store(root))
        # the folder of an experiment is removed when it ends; and MLflow puts artifacts below where it is
        os.chdir(project_home(root))
        return _follow_to_end(mirror, stage_pid)


def _follow_to_end(mirror: Mirror, stage_pid: int) -> int:
    due = 0.0
    while True:
        # asked before reading: what a stage that is gone has written is then all there
        gone = os.getppid() != stage_pid
        over = mirror.read() or gone
        if over or time.monotonic() >= due:
            try:
                mirror.send()
                if over:
                    mirror.close()
                    return 0
                due = time.monotonic() + _SEND_SECONDS
            except Exception as error:  # MLflow raises anything from SQLAlchemy to requests
                mirror.note_error(error)
                if over:
                    return 1
                due = time.monotonic() + _RETRY_SECONDS
        time.sleep(_POLL_SECONDS)


def sync(root: Path, uri: str) -> int:
    """Upload what is left of runs that have ended; returns the exit code.

    Raises:
        PipelineError: the store cannot be reached.
    """
    folder = project_home(root) / FOLDER
    journals = sorted(folder.glob("*.jsonl"))
    if not journals:
        print("no run is left to upload")
        return 0
    try:
        connect(uri, folder.with_name("mlflow.lock"))
    except Exception as error:
        raise PipelineError(masked(f"MLflow at {uri} cannot be reached: {_reason(error)}")) from None
    outcomes = [_upload(journal, uri) for journal in journals]
    print(f"{outcomes.count('uploaded')} of {len(journals)} runs uploaded to {masked(uri)}")
    return 1 if "failed" in outcomes else 0


def _upload(journal: Path, uri: str) -> str:
    with hold(journal, alone=True) as ours:
        if not ours:
            print(f"{journal.stem}: its stage still runs, left alone")
            return "left"
        try:
            mirror = Mirror(journal, uri)
            mirror.read()
            mirror.send()
            status = mirror.close()
        except Exception as error:  # one run that the store refuses must not keep the others back
            print(f"{journal.stem}: {_reason(error)}", file=sys.stderr)
            return "failed"
        more = "" if status == mirror.status else f"; its run, which went on, is {status}"
        print(f"{journal.stem}: uploaded, {mirror.status}{more}")
        return "uploaded"


def connect(uri: str, lock_file: Path) -> Any:
    """A client of the store, which has answered; a SQLite store is created first where there is none."""
    import mlflow

    # two processes that create the SQLite store at once break each other's migration
    with _locked(lock_file):
        client = mlflow.MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def _store(root: Path) -> str:
    # params.yaml is read only where it decides: a stage hands its store on
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return absolute_store(named, root) if named else tracking_uri(load_params(root / "params.yaml").tracking, root)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _create_run(client: Any, experiment_id: str, start: Mapping[str, Any]) -> Any:
    # a run begins with its first execution, whose journal may reach the store after this one
    first = start["journal"].partition("-")[0]
    began = int(first) if first.isdigit() else start["time"]
    tags = {**start["tags"], "journal": start["journal"]}
    return client.create_run(experiment_id, start_time=began, run_name=start["name"], tags=tags)


def _known_status(run: Any) -> RunStatus:
    return RunStatus(run.info.status, run.data.tags.get(_EXECUTION, ""))


def _params(start: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(key, value) for key, value in start["params"].items()]


def _tags(tags: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import RunTag

    return [RunTag(key, value) for key, value in tags.items()]


def _batch_length(events: Sequence[Mapping[str, Any]]) -> int:
    """How many events, at least one, make a batch of metrics."""
    metrics = 0
    for count, event in enumerate(events, start=1):
        metrics += len(event.get("values", ()))
        if metrics >= _BATCH:
            return count
    return len(events)


def _entities(events: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    from mlflow.entities import Metric

    metrics = [
        Metric(key, value, event.get("at", event["time"]), event["step"])
        for event in events
        if event["event"] == "metrics"
        for key, value in event["values"].items()
    ]
    tags = {key: value for event in events if event["event"] == "tags" for key, value in event["tags"].items()}
    return {"metrics": metrics, "tags": _tags(tags)}


def _reason(error: Exception) -> str:
    # masked before it is cut: half of an address hides its password no more
    return shorten(masked(" ".join(str(error).split()))) or type(error).__name__


def main() -> None:
    """Follow one journal, or upload all that are left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("journal", nargs="?", type=Path)
    parser.add_argument("--follow", metavar="PID", type=int)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    # what a stage has from its launch: timeouts, no telemetry, no addresses on the terminal
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    root = Path.cwd()
    try:
        if arguments.follow and arguments.journal:
            sys.exit(follow(arguments.journal, arguments.follow, root))
        if not arguments.all:
            parser.error("either JOURNAL --follow PID, or --all")
        sys.exit(sync(root, _store(root)))
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
