"""The journal of a run: what a stage logs, kept on disk until a mirror has sent it to MLflow.

A run is one file of JSON Lines under `.state/tracking`; a second file has the progress of sending it. The stage and
its mirror each hold a shared lock on the journal until they end, so a process that gets an exclusive one knows that
both have ended. filelock has no shared locks by the system, so these are `flock`'s.
"""

import errno
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError

FOLDER = Path(".state/tracking")


def milliseconds() -> int:
    """The time now, in ms since 1970, as MLflow counts it."""
    return int(time.time() * 1000)


def new_journal_path(root: Path, name: str) -> Path:
    """A path, used by no other run, for the journal of a run of stage `name` that starts now."""
    return root.resolve() / FOLDER / f"{milliseconds()}-{name}-{uuid.uuid4().hex[:12]}.jsonl"


class Journal:
    """Append-only events of one run."""

    def __init__(self, path: Path, *, continues: str | None = None, **start: Any) -> None:
        """Create the journal with its first event, `start`.

        Args:
            path: from `new_journal_path`.
            continues: the name of the run's first journal, if this execution resumes an earlier one.
            start: fields of the first event.

        Raises:
            OSError: the disk is full or not writable.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # it gets its final name when it is locked and has its first line, so it never looks abandoned
        draft = path.with_suffix(".tmp")
        self._fd = os.open(draft, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o666)
        fcntl.flock(self._fd, fcntl.LOCK_SH)
        self.name = continues or path.stem
        self.append("start", journal=self.name, **start)
        draft.rename(path)

    def append(self, event: str, **fields: Any) -> None:
        """Append one event with the present time (ms since 1970), whole or not at all.

        Raises:
            OSError: the disk is full or not writable.
        """
        _append(self._fd, event, fields)

    def keep(self, content: Path | str, name: str) -> None:
        """Copy a file or folder, or write a text, beside the journal, under a name such as `run/params.yaml`.

        A copy, because the next execution of the stage may overwrite the original while the server is still down.

        Raises:
            OSError: the disk is full, or the file is not readable.
        """
        target = kept_files(self.path) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            target.write_text(content, encoding="utf-8")
        elif content.is_dir():
            shutil.copytree(content, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(content, target)

    def close(self) -> None:
        """Close the journal, which gives up its lock."""
        os.close(self._fd)


def append_to(journal: Path, event: str, **fields: Any) -> None:
    """Append an event to a journal that another process created; lines of several processes do not mix.

    Raises:
        OSError: the disk is full or not writable.
    """
    fd = os.open(journal, os.O_WRONLY | os.O_APPEND)
    try:
        _append(fd, event, fields)
    finally:
        os.close(fd)


def _append(fd: int, event: str, fields: Mapping[str, object]) -> None:
    line = json.dumps({"event": event, "time": milliseconds(), **fields}).encode() + b"\n"
    size = os.fstat(fd).st_size
    if os.write(fd, line) < len(line):
        os.ftruncate(fd, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class JournalReader:
    """Reads a journal that may still grow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("rb")
        self._offset = 0
        self._lines = 0

    def read(self) -> list[dict[str, Any]]:
        """The events of all complete lines that were appended since the last call.

        Raises:
            PipelineError: a line is no event; the message names it.
        """
        self._stream.seek(self._offset)
        data = self._stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [self._parse(line) for line in whole.splitlines()]

    def _parse(self, line: bytes) -> dict[str, Any]:
        self._lines += 1
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise PipelineError(f"{self._path}, line {self._lines}: no event. Delete this line to go on.") from error

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


@dataclass(frozen=True)
class Progress:
    """How far a journal has been sent: to which MLflow run, how many lines, and the last error if sending failed."""

    run_id: str | None = None
    lines: int = 0
    error: str | None = None


def read_progress(journal: Path) -> Progress:
    """The progress of a journal; no progress if its file cannot be read, because sending again does no harm."""
    try:
        return Progress(**json.loads(_progress_file(journal).read_text()))
    except (OSError, ValueError, TypeError):
        return Progress()


def write_progress(journal: Path, progress: Progress) -> None:
    """Store the progress, whole or not at all."""
    draft = journal.with_suffix(".progress.tmp")
    draft.write_text(json.dumps(asdict(progress)) + "\n")
    draft.replace(_progress_file(journal))


def remove_journal(journal: Path) -> None:
    """Remove the journal of a run that is in the store, with its progress and its files."""
    shutil.rmtree(kept_files(journal), ignore_errors=True)
    _progress_file(journal).unlink(missing_ok=True)
    journal.unlink()


def kept_files(journal: Path) -> Path:
    """The folder of the files that are sent with a journal; it need not exist."""
    return journal.with_suffix(".files")


@contextmanager
def hold(journal: Path, *, alone: bool) -> Iterator[bool]:
    """Lock a journal; yields False if it has been removed, or if locks of others exclude this one.

    Args:
        journal: path of the journal.
        alone: take an exclusive lock, as for an abandoned journal; else a shared one, as its stage and mirror do.
    """
    try:
        fd = os.open(journal, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        held = os.fstat(fd).st_nlink > 0  # 0 if it was sent and removed in the meantime
    except BlockingIOError:
        held = False
    try:
        yield held
    finally:
        os.close(fd)


def _progress_file(journal: Path) -> Path:
    return journal.with_suffix(".progress")
