"""The journal of a run: what a stage logs, kept on disk until a mirror has sent it to MLflow.

A run is one file under `.state/tracking`, a JSON object a line; beside it lies how far it has been sent. The stage
and its mirror each hold a shared lock on the journal for life, so whoever gets it exclusively knows both to be gone.
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
    """Where a run of stage `name` that starts now keeps its journal; no other run has this path."""
    return root.resolve() / FOLDER / f"{milliseconds()}-{name}-{uuid.uuid4().hex[:12]}.jsonl"


class Journal:
    """Append-only events of one run."""

    def __init__(self, path: Path, *, continues: str | None = None, **start: Any) -> None:
        """Create it with its first event, `start`.

        Args:
            path: from `new_journal_path`.
            continues: the name of the first journal of the run that this one goes on with.
            start: fields of the first event.

        Raises:
            OSError: the disk is full or not writable.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # under its final name it is locked and has its first line: nobody ever takes it for abandoned
        draft = path.with_suffix(".tmp")
        self._fd = os.open(draft, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o666)
        fcntl.flock(self._fd, fcntl.LOCK_SH)
        self.name = continues or path.stem
        self.append("start", journal=self.name, **start)
        draft.rename(path)

    def append(self, event: str, **fields: Any) -> None:
        """Write one event with the time now (ms since 1970), whole or not at all.

        Raises:
            OSError: the disk is full or not writable.
        """
        _append(self._fd, event, fields)

    def keep(self, content: Path | str, name: str) -> None:
        """Copy a file or folder, or write a text, beside the journal, under a name such as `run/params.yaml`.

        The next execution of the stage may overwrite the original before a server that is down is back.

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
        """Give up the lock."""
        os.close(self._fd)


def append_to(journal: Path, event: str, **fields: Any) -> None:
    """One more event of a journal that another process has begun; lines of several processes stay whole.

    Raises:
        OSError: the disk is full or not writable.
    """
    fd = os.open(journal, os.O_WRONLY | os.O_APPEND)
    try:
        _append(fd, event, fields)
    finally:
        os.close(fd)


def _append(fd: int, event: str, fields: Mapping[str, Any]) -> None:
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
        """Events of the whole lines that were appended since the last call.

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
            raise PipelineError(f"{self._path}: line {self._lines} is broken; remove it to go on") from error

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


@dataclass(frozen=True)
class Progress:
    """How far a journal has been sent: the MLflow run, its first `lines` lines, and why sending failed last."""

    run_id: str | None = None
    lines: int = 0
    error: str | None = None


def read_progress(journal: Path) -> Progress:
    """The progress of a journal. Without a readable file it is none: sending again does no harm."""
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
    """Forget a run that is in the store."""
    shutil.rmtree(kept_files(journal), ignore_errors=True)
    _progress_file(journal).unlink(missing_ok=True)
    journal.unlink()


def kept_files(journal: Path) -> Path:
    """The folder of files that a journal sends, which need not exist."""
    return journal.with_suffix(".files")


@contextmanager
def hold(journal: Path, *, alone: bool) -> Iterator[bool]:
    """Lock a journal; False when it is gone, or locked by others in a way that does not allow it.

    Args:
        journal: path of the journal.
        alone: exclusively, for whoever takes an abandoned journal over; else shared, as its stage and mirror do.
    """
    try:
        fd = os.open(journal, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        held = os.fstat(fd).st_nlink > 0  # it may have been sent and removed just now
    except BlockingIOError:
        held = False
    try:
        yield held
    finally:
        os.close(fd)


def _progress_file(journal: Path) -> Path:
    return journal.with_suffix(".progress")
