"""The journal of a run survives what happens to the process that writes it."""

import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.tracking.journal import (
    Journal,
    JournalReader,
    Progress,
    hold,
    new_journal_path,
    read_progress,
    remove_journal,
    write_progress,
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(new_journal_path(tmp_path, "train_sft"), name="train_sft")


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def test_what_is_written_is_read_once_and_in_order(journal: Journal) -> None:
    reader = JournalReader(journal.path)
    journal.append("metrics", step=3, values={"loss": 0.1 + 0.2, "margin": float("-inf")})
    start, metrics = reader.read()
    assert (start["event"], start["name"], start["journal"]) == ("start", "train_sft", journal.path.stem)
    assert (metrics["step"], metrics["values"]) == (3, {"loss": 0.1 + 0.2, "margin": float("-inf")})
    assert start["time"] <= metrics["time"]
    assert reader.read() == []
    journal.append("end", status="FINISHED")
    assert kinds(reader.read()) == ["end"]


def test_half_a_line_is_read_when_it_is_whole(journal: Journal) -> None:
    reader = JournalReader(journal.path)
    with journal.path.open("ab") as stream:
        stream.write(b'{"event": "ta')
        stream.flush()
        assert kinds(reader.read()) == ["start"]
        stream.write(b'gs", "time": 1, "tags": {}}\n')
    assert kinds(reader.read()) == ["tags"]


def test_a_broken_line_is_named(journal: Journal) -> None:
    with journal.path.open("ab") as stream:
        stream.write(b"\0\0\0\n")
    with pytest.raises(PipelineError, match=r"train_sft.*, line 2: no event"):
        JournalReader(journal.path).read()


def test_a_full_disk_leaves_whole_lines(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, line: write(fd, line[:10]))
        with pytest.raises(OSError, match="No space left"):
            journal.append("metrics", step=1, values={"loss": 0.5})
    journal.append("end", status="FAILED")
    assert kinds(JournalReader(journal.path).read()) == ["start", "end"]


def test_journals_that_start_together_have_their_own_paths(tmp_path: Path) -> None:
    paths = {new_journal_path(tmp_path, "train_sft") for _ in range(100)}
    assert len(paths) == 100


def test_only_an_abandoned_journal_can_be_taken_over(journal: Journal) -> None:
    with hold(journal.path, alone=False) as mirror:
        assert mirror
        with hold(journal.path, alone=True) as other:
            assert not other
        journal.close()
        with hold(journal.path, alone=True) as other:
            assert not other, "its mirror is still there"
    with hold(journal.path, alone=True) as other:
        assert other
        with hold(journal.path, alone=False) as mirror:
            assert not mirror, "somebody has taken it over"


def test_a_journal_that_is_gone_cannot_be_held(journal: Journal) -> None:
    write_progress(journal.path, Progress("abc", 1))
    remove_journal(journal.path)
    with hold(journal.path, alone=False) as held:
        assert not held
    assert list(journal.path.parent.iterdir()) == []


def test_progress_is_kept_and_a_broken_file_is_no_progress(journal: Journal) -> None:
    assert read_progress(journal.path) == Progress(None, 0, None)
    write_progress(journal.path, Progress("abc", 7, "gone"))
    assert read_progress(journal.path) == Progress("abc", 7, "gone")
    journal.path.with_suffix(".progress").write_text('{"run_id"')
    assert read_progress(journal.path) == Progress(None, 0, None)
