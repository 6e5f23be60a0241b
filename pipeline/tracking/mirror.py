"""Sends the journal of a run to MLflow, beside its stage.

    python -m pipeline.tracking.mirror JOURNAL --follow PID   the stage PID starts it

A mirror may be killed at any moment, and another one continues: it finds the run by the journal's name, which is a tag
of the run, and sending something a second time does no harm (store.py).
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.locks import wait_for_lock
from pipeline.project.home import project_home
from pipeline.tracking.journal import (
    JournalReader,
    hold,
    kept_files,
    read_progress,
    remove_journal,
    write_progress,
)
from pipeline.tracking.policy_run import described
from pipeline.tracking.project_store import connect
from pipeline.tracking.registry import Registry
from pipeline.tracking.run_status import KILLED, RUNNING, RunStatus
from pipeline.tracking.store import COLOUR, NOTE, Event, Store, metric, repeated, warm_up
from pipeline.tracking.store_address import reason_of, store_uri
from pipeline.tracking.system_metrics import SystemMetrics
from pipeline.tracking.unsent import run_that_wrote

_BATCH = 500  # metrics in one request; the server takes 1000
_SEND_SECONDS = 5.0
_RETRY_SECONDS = 15.0
_POLL_SECONDS = 0.05
_TAG_LENGTH = 5000
_TOLD_ALONE = ("datasets", "model", "files", "attach", "candidate", "lineage")
_EXECUTION = "journal.newest"
"""Tag of a run: the journal of the newest execution of its stage that the store knows of."""


class Mirror:
    """Sends one journal to one store, continuing where an earlier mirror of that journal stopped."""

    def __init__(self, journal: Path, uri: str) -> None:
        self.journal = journal
        self.status = RUNNING
        self._uri = uri
        self._lock_file = journal.parent.with_name("mlflow.lock")
        self._newest = True
        self._reader = JournalReader(journal)
        self._progress = read_progress(journal)
        self._store: Any = None
        self._experiment_id = ""
        self._pending: list[Event] = []
        self._end_time = 0

    def read(self) -> bool:
        """Read what was appended to the journal; returns whether the stage has written its end."""
        for event in self._reader.read():
            self._pending.append(event)
            self._end_time = event["time"]
            if event["event"] == "end":
                self.status = event["status"]
        return self.status != RUNNING

    def send(self) -> None:
        """Send the events that were read; after each batch the progress is stored."""
        if self._store is None:
            self._open()
        while self._pending:
            count = _batch_length(self._pending)
            if count:
                self._send_batch(self._pending[:count])
            else:
                repeated(lambda: self._tell(self._pending[0]))
                count = 1
            del self._pending[:count]
            self._note(lines=self._progress.lines + count, error=None)

    def _send_batch(self, batch: list[Event]) -> None:
        metrics, tags = _points(batch), _tags(batch)
        # the tags of a later execution of the stage stay as they are
        self._store.log(self._progress.run_id, metrics=metrics, tags=tags if self._newest else {})

    def _tell(self, event: Event) -> None:
        """Send one event that is more than metrics and tags."""
        run_id, kind = self._progress.run_id, event["event"]
        if kind == "datasets":
            self._store.log_datasets(run_id, event["datasets"])
        elif kind == "model":
            model_id = self._store.log_model(self._experiment_id, run_id, event["model"], at=event["time"])
            if name := event.get("registered"):
                Registry(self._store, name).register(self._store.client.get_run(run_id), model_id)
        elif kind == "files":
            self._store.log_files(run_id, kept_files(self.journal) / event["folder"])
        elif kind == "attach":
            for path, md5 in event["wrote"].items():
                if (run := run_that_wrote(self._store, self.journal, path, md5)) is not None:
                    self._store.log_files(run.info.run_id, kept_files(self.journal) / event["folder"])
        elif kind == "candidate":
            ((path, md5),) = event["wrote"].items()
            if (run := run_that_wrote(self._store, self.journal, path, md5)) is not None:
                decision = Registry(self._store, event["registered"]).consider(run, event["flags"])
                self._store.log(run.info.run_id, tags={"champion": decision[:_TAG_LENGTH]})
        elif kind == "lineage":
            text = described(event["stages"], self._store.run_that_wrote)
            self._store.log(run_id, tags={NOTE: text})

    def close(self) -> str:
        """After `send`: end the run with the status of its stage, and remove the journal; returns the run's status.

        A stage that wrote no end was killed: its status is KILLED, while FAILED means that it stopped with an error.
        The run of a killed stage ends at the time of its last event, unless another execution has resumed the stage.
        """
        if self.status == RUNNING:
            self.status = KILLED
        run_id, execution = self._progress.run_id, self.journal.stem
        with wait_for_lock(self._lock_file):
            client = self._store.client
            known = _known_status(client.get_run(run_id))
            then = known.closed(execution, self.status)
            if then != known or known.status == RUNNING:
                client.set_tag(run_id, _EXECUTION, then.execution)
                if then.status == self.status:
                    client.set_terminated(run_id, then.status, self._end_time)
        self._reader.close()
        remove_journal(self.journal)
        return then.status

    def note_error(self, error: Exception) -> None:
        """Store why sending failed, for the stage to read."""
        self._note(error=reason_of(error))

    def _open(self) -> None:
        start = self._pending[0]
        store = connect(self._uri, self._lock_file)
        with wait_for_lock(self._lock_file):
            where = (start["experiment"], start.get("experiment_tags", {}))
            self._experiment_id = repeated(lambda: store.experiment(*where))
            known = store.run_of_journal(self._experiment_id, start["journal"])
            run = known or _create_run(store, self._experiment_id, start)
            run_id = run.info.run_id
            then = _known_status(run).opened(self.journal.stem)
            self._newest = then.execution == self.journal.stem
            if self._newest:
                store.log(run_id, tags={**start["tags"], _EXECUTION: then.execution})
            if then.status != run.info.status:
                store.client.update_run(run_id, status=then.status)  # its stage was killed, and is resumed
        store.log(run_id, params=start["params"])
        # if the run is another than before, the store is new or the run was deleted: all is sent again
        sent = min(self._progress.lines, len(self._pending)) if self._progress.run_id == run_id else 0
        del self._pending[:sent]
        self._note(run_id=run_id, lines=sent, error=None)
        self._store = store

    def _note(self, **changes: Any) -> None:
        self._progress = replace(self._progress, **changes)
        write_progress(self.journal, self._progress)


def follow(journal: Path, stage_pid: int, root: Path) -> int:
    """Mirror a journal until its stage, the parent process, has ended; returns the exit code.

    The stage may not have created the journal yet.
    """
    warm_up()  # meanwhile the stage is still importing its own libraries
    while not journal.exists() and os.getppid() == stage_pid:
        time.sleep(_POLL_SECONDS)
    with hold(journal, alone=False) as held:
        if not held:
            return 0
        mirror = Mirror(journal, store_uri(root))
        # the folder of an experiment is removed when it ends, and MLflow puts artifacts below its working folder
        os.chdir(project_home(root))
        return _follow_to_end(mirror, stage_pid)


def _follow_to_end(mirror: Mirror, stage_pid: int) -> int:
    due = 0.0
    machine = SystemMetrics(mirror.journal)
    while True:
        with suppress(Exception):  # a full disk, which the stage reports itself, or any error of a driver
            machine.sample()
        # checked before reading: if the stage has ended, everything that it wrote is read
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


def _create_run(store: Store, experiment_id: str, start: Mapping[str, Any]) -> Any:
    # a run begins when its first execution did, although that one's journal may be sent after this one
    first = start["journal"].partition("-")[0]
    began = int(first) if first.isdigit() else start["time"]
    tags = {**start["tags"], "journal": start["journal"], COLOUR: store.new_colour(experiment_id)}
    return store.client.create_run(experiment_id, start_time=began, run_name=start["name"], tags=tags)


def _known_status(run: Any) -> RunStatus:
    return RunStatus(run.info.status, run.data.tags.get(_EXECUTION, ""))


def _batch_length(events: Sequence[Event]) -> int:
    """How many of the first events fit into one batch; 0 if the first is more than metrics and tags."""
    metrics = 0
    for count, event in enumerate(events):
        if event["event"] in _TOLD_ALONE:
            return count
        metrics += len(event.get("values", ()))
        if metrics >= _BATCH:
            return count + 1
    return len(events)


def _points(events: Sequence[Event]) -> list[Any]:
    return [
        metric(key, value, event.get("at", event["time"]), event["step"])
        for event in events
        if event["event"] == "metrics"
        for key, value in event["values"].items()
    ]


def _tags(events: Sequence[Event]) -> dict[str, str]:
    return {key: value for event in events if event["event"] == "tags" for key, value in event["tags"].items()}


def main() -> None:
    """Follow one journal."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.tracking.mirror",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("journal", type=Path)
    parser.add_argument("--follow", metavar="PID", type=int, required=True, help="the stage that starts this process")
    arguments = parser.parse_args()
    set_environment()
    try:
        sys.exit(follow(arguments.journal, arguments.follow, Path.cwd()))
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
