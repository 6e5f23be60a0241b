"""A mirror that stops at any point is continued by another, without a second run or a second point."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.tracking import mirror as mirror_module
from pipeline.tracking.journal import Journal, Progress, new_journal_path, read_progress, write_progress
from pipeline.tracking.mirror import Mirror, follow
from pipeline.tracking.project_store import connect
from tests.tracking.conftest import client, history, journals, only_run, sync

STEPS = 30


class Interrupted(BaseException):
    """A kill -9, as far as a test can play it."""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_BATCH", 10)


def write_journal(root: Path, name: str, *, status: str | None = "FINISHED") -> Path:
    """The journal of a stage that is gone."""
    journal = Journal(
        new_journal_path(root, name), name=name, experiment="tests", params={"a": "1"}, tags={"stage": name}
    )
    for step in range(STEPS):
        journal.append("metrics", step=step, values={"loss": 1 / (step + 1), "margin": float("nan")})
    journal.append("tags", tags={"device": "cpu"})
    if status:
        journal.append("end", status=status)
    journal.close()
    return journal.path


def upload(root: Path, journal: Path) -> None:
    mirror = Mirror(journal, f"sqlite:///{root / 'mlflow.db'}")
    mirror.read()
    mirror.send()
    mirror.close()


def assert_complete(root: Path, name: str, status: str = "FINISHED") -> None:
    run = only_run(root, name)
    assert (run.info.status, run.data.params, run.data.tags["device"]) == (status, {"a": "1"}, "cpu")
    assert history(root, run, "loss") == [(step, 1 / (step + 1)) for step in range(STEPS)]
    assert len(history(root, run, "margin")) == STEPS
    assert not [path for path in journals(root) if name in path.name]


def interrupt(number: int, action: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    """`action`, interrupted just before or just after its call of that number."""
    calls = 0

    def run(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not after:
            raise Interrupted
        result = action(*arguments, **keywords)
        if calls == number and after:
            raise Interrupted
        return result

    return run


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_mirror_that_stops_around_storing_its_progress_is_continued(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, after: bool
) -> None:
    name = f"progress{number}{after}"
    journal = write_journal(root, name)
    with monkeypatch.context() as patch:
        patch.setattr(mirror_module, "write_progress", interrupt(number, write_progress, after=after))
        with pytest.raises(Interrupted):
            upload(root, journal)
    upload(root, journal)
    assert_complete(root, name)


@pytest.mark.parametrize("removes", [False, True], ids=["before", "halfway"])
def test_a_mirror_that_stops_before_the_journal_is_removed_ends_the_run_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, removes: bool
) -> None:
    name = f"removal{removes}"
    journal = write_journal(root, name)

    def remove_journal(path: Path) -> None:
        if removes:
            path.with_suffix(".progress").unlink()
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(mirror_module, "remove_journal", remove_journal)
        with pytest.raises(Interrupted):
            upload(root, journal)
    end = only_run(root, name).info.end_time
    upload(root, journal)
    assert_complete(root, name)
    assert only_run(root, name).info.end_time == end


def test_what_was_sent_is_not_sent_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = write_journal(root, "resumed")
    with monkeypatch.context() as patch:
        patch.setattr(mirror_module, "write_progress", interrupt(4, write_progress, after=True))
        with pytest.raises(Interrupted):
            upload(root, journal)
    sent = read_progress(journal).lines
    steps: list[int] = []
    points = mirror_module._points

    def record(events: list[dict[str, Any]]) -> list[Any]:
        steps.extend(event["step"] for event in events if event["event"] == "metrics")
        return points(events)

    monkeypatch.setattr(mirror_module, "_points", record)
    upload(root, journal)
    # the journal's first line is the start, so line n + 1 has step n - 1
    assert sent > 1 and steps == list(range(sent - 1, STEPS))


def test_a_run_that_is_not_in_the_store_any_more_is_sent_from_its_beginning(root: Path) -> None:
    journal = write_journal(root, "elsewhere")
    write_progress(journal, Progress("0" * 32, lines=20))
    upload(root, journal)
    assert_complete(root, "elsewhere")


def test_a_journal_without_an_end_is_a_killed_run_that_ended_with_its_last_line(root: Path) -> None:
    journal = write_journal(root, "killed", status=None)
    upload(root, journal)
    assert_complete(root, "killed", "KILLED")
    run = only_run(root, "killed")
    points = client(root).get_metric_history(run.info.run_id, "loss")
    assert points[-1].timestamp <= run.info.end_time <= points[-1].timestamp + 1000


def test_a_mirror_whose_stage_ended_before_its_run_ends(tmp_path: Path) -> None:
    assert follow(new_journal_path(tmp_path, "train_sft"), os.getpid(), tmp_path) == 0


def test_a_run_that_the_store_refuses_keeps_no_other_back(root: Path, tmp_path: Path) -> None:
    refused = Journal(
        new_journal_path(tmp_path, "refused"), name="refused", experiment="tests", params={"a*b": "1"}, tags={}
    )
    refused.append("end", status="FINISHED")
    refused.close()
    write_journal(tmp_path, "accepted")
    result = sync(tmp_path, f"sqlite:///{root / 'mlflow.db'}")
    assert result.returncode == 1
    assert "a*b" in result.stderr and refused.path.stem in result.stderr
    assert "1 of 2 runs uploaded" in result.stdout
    assert_complete(root, "accepted")
    assert journals(tmp_path) == [refused.path]


def test_a_clone_that_has_run_nothing_finds_its_store(root: Path, tmp_path: Path) -> None:
    assert connect(f"sqlite:///{root / 'mlflow.db'}", tmp_path / ".state" / "mlflow.lock").client is not None
