"""Whatever is killed, continued and uploaded in whatever order: a run ends as its newest execution did, once."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tracking import mirror as mirror_module
from pipeline.tracking.journal import FOLDER, Journal
from pipeline.tracking.mirror import Mirror
from pipeline.tracking.run_status import RunStatus
from pipeline.tracking.store import Store as MlflowStore
from tests.tracking.conftest import client, history, only_run, sync

ENDS = (None, "FAILED", "FINISHED")


class StoreStopped(Exception):
    """The process that sends is killed before this call, or the store does not answer it."""


class Store:
    """What MLflow's SQL store does, in memory: a point that it has already is the same point."""

    def __init__(self) -> None:
        self.runs: dict[str, Any] = {}
        self.points: set[tuple[Any, ...]] = set()
        self.calls_left = 10**9

    def _call(self) -> None:
        self.calls_left -= 1
        if self.calls_left < 0:
            raise StoreStopped

    def search_experiments(self, **_: Any) -> list[Any]:
        return []

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=name, tags={})

    def set_experiment_tag(self, *_: str) -> None:
        pass

    def search_runs(self, _: Any, query: str = "", **__: Any) -> list[Any]:
        self._call()
        journal = query.partition("'")[2].rstrip("'")
        return [run for run in self.runs.values() if not query or run.data.tags["journal"] == journal]

    def create_run(self, _: str, *, start_time: int, run_name: str, tags: dict[str, str]) -> Any:
        self._call()
        info = SimpleNamespace(run_id=f"run{len(self.runs)}", status="RUNNING", start_time=start_time, end_time=None)
        run = SimpleNamespace(info=info, data=SimpleNamespace(tags=dict(tags), params={}))
        self.runs[info.run_id] = run
        return run

    def get_run(self, run_id: str) -> Any:
        self._call()
        return self.runs[run_id]

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = (), **_: Any) -> None:
        self._call()
        run = self.runs[run_id]
        run.data.params |= {param.key: param.value for param in params}
        run.data.tags |= {tag.key: tag.value for tag in tags}
        self.points |= {(run_id, point.key, point.step, point.timestamp, point.value) for point in metrics}

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self._call()
        self.runs[run_id].data.tags[key] = value

    def update_run(self, run_id: str, *, status: str) -> None:
        self._call()
        self.runs[run_id].info.status = status
        self.runs[run_id].info.end_time = None

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        self._call()
        self.runs[run_id].info.status = status
        self.runs[run_id].info.end_time = end_time


@contextmanager
def store() -> Iterator[Store]:
    """The store that mirrors reach, and small batches."""
    fake = Store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror_module, "connect", lambda *_: MlflowStore(fake))
        patch.setattr(mirror_module, "_BATCH", 3)
        yield fake


def write_journal(root: Path, number: int, end: str | None, steps: int) -> Path:
    """The journal of an execution that is gone; all but the first go on with the first's run."""
    name = f"{1000 + number}-train_sft-{'ab'[number % 2]}"
    continues = None if number == 0 else "1000-train_sft-a"
    start = {"name": "train_sft", "experiment": "tests", "params": {"a": "1"}, "tags": {"host": str(number)}}
    journal = Journal(root / FOLDER / f"{name}.jsonl", continues=continues, **start)
    for step in range(steps):
        journal.append("metrics", step=10 * number + step, values={"loss": float(step)})
    journal.append("tags", tags={"device": str(number)})
    if end:
        journal.append("end", status=end)
    journal.close()
    return journal.path


def send(journal: Path, *, pieces: int = 1) -> None:
    """What a mirror does with a journal, which it may meet at any length of it."""
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    mirror = Mirror(journal, "sqlite:///none")
    for piece in range(1, pieces + 1):
        journal.write_bytes(b"".join(lines[: max(1, len(lines) * piece // pieces)]))
        mirror.read()
        try:
            mirror.send()
        finally:
            journal.write_bytes(whole)
    mirror.close()


executions = st.lists(st.tuples(st.sampled_from(ENDS[:2]), st.integers(0, 5)), max_size=4)
last = st.tuples(st.sampled_from(ENDS), st.integers(0, 5))
# which of the journals that are left is sent next, in how many pieces, and after how many calls that stops
sending = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(0, 12)), max_size=25)


@pytest.mark.slow(beside="test_the_order_of_uploads_decides_nothing")
@settings(max_examples=300, deadline=None)
@given(earlier=executions, newest=last, order=sending, again=st.booleans())
def test_any_sequence_of_kills_continuations_and_uploads_ends_the_same(
    earlier: list[tuple[str | None, int]],
    newest: tuple[str | None, int],
    order: list[tuple[int, int, int]],
    again: bool,
) -> None:
    with TemporaryDirectory() as folder, store() as fake:
        runs = [*earlier, newest]
        journals = [write_journal(Path(folder), number, *run) for number, run in enumerate(runs)]
        copies = {journal: journal.read_bytes() for journal in journals}
        finished = False
        for choice, pieces, calls in order:
            left = [journal for journal in journals if journal.exists()]
            if not left:
                break
            fake.calls_left = calls
            with suppress(StoreStopped):
                send(left[choice % len(left)], pieces=pieces)
            statuses = [run.info.status for run in fake.runs.values()]
            assert not finished or statuses == ["FINISHED"], "a finished run is no other any more"
            finished = statuses == ["FINISHED"]
        fake.calls_left = 10**9
        for journal in [journal for journal in journals if journal.exists()]:
            send(journal)
        check(fake, runs)
        if again:  # as if no journal had been removed: nothing changes
            for journal in reversed(journals):
                journal.write_bytes(copies[journal])
                send(journal)
            check(fake, runs)


def check(fake: Store, runs: list[tuple[str | None, int]]) -> None:
    """Nothing is lost, nothing is there twice, and the newest execution has the last word."""
    (run,) = fake.runs.values()
    end, _ = runs[-1]
    assert run.info.status == (end or "KILLED")
    assert run.info.start_time == 1000 and run.info.end_time is not None
    assert run.data.params == {"a": "1"}
    assert run.data.tags["host"] == run.data.tags["device"] == str(len(runs) - 1)
    logged = [(10 * number + step) for number, (_, steps) in enumerate(runs) for step in range(steps)]
    assert sorted(step for _, _, step, _, _ in fake.points) == logged


@given(st.permutations([("1", "KILLED"), ("2", "FAILED"), ("3", "KILLED"), ("4", "FINISHED")]), st.integers(1, 4))
def test_the_order_of_uploads_decides_nothing(order: list[tuple[str, str]], count: int) -> None:
    there = order[:count]
    known = RunStatus("RUNNING", "")
    for execution, status in there:
        known = known.opened(execution).closed(execution, status)
    assert (known.execution, known.status) == max(there)


def test_make_sync_after_repeated_kills_leaves_a_finished_run_finished(root: Path) -> None:
    """In MLflow's own store: killed twice, finished at the third time, which alone was uploaded while it ran."""
    for number, end in enumerate([None, None, "FINISHED"]):
        name = f"{2000 + number}-train_sft-again"
        start = {"name": "s", "experiment": "tests", "params": {"a": "1"}, "tags": {"stage": "often killed"}}
        continues = None if number == 0 else "2000-train_sft-again"
        journal = Journal(root / FOLDER / f"{name}.jsonl", continues=continues, **start)
        journal.append("metrics", step=number, values={"loss": 1.0, "margin": math.nan})
        if end:
            journal.append("end", status=end)
        journal.close()
    mirror = Mirror(journal.path, f"sqlite:///{root / 'mlflow.db'}")
    mirror.read()
    mirror.send()
    assert mirror.close() == "FINISHED"
    done = sync(root)
    assert done.returncode == 0 and "2 of 2 runs uploaded" in done.stdout
    assert "KILLED; its run, which went on, is FINISHED" in done.stdout
    run = only_run(root, "often killed")
    assert run.info.status == "FINISHED"
    assert history(root, run, "loss") == [(0, 1.0), (1, 1.0), (2, 1.0)]
    assert len(client(root).get_metric_history(run.info.run_id, "margin")) == 3
