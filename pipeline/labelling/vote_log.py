"""One annotator's vote file, open for writing. A vote is on the disk before it is confirmed."""

import json
import os
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.locks import try_lock_open
from pipeline.reading.vote_files import VoteRow, is_whole, read_vote_lines


class VoteLog:
    """Appends votes; one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, and repair a line that a killed writer left half-written.

        Raises:
            PipelineError: another process writes to it, or a line before the last is no vote.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # appending cannot overwrite a line
        self._stream = path.open("ab")
        if not try_lock_open(self._stream.fileno()):
            self._stream.close()
            raise PipelineError(f"{path} is in use: its page is already served. Use that one, or stop it.")
        _sync_folder(path.parent)
        self.mended: str | None = None
        """What was done about a line that had been cut off, as a sentence; None if there was none."""
        self.rows: list[VoteRow] = self._read()

    def append(self, row: VoteRow) -> None:
        """Add a line, whole or not at all.

        Raises:
            OSError: the disk is full or not writable; the file is as it was before.
        """
        before = os.fstat(self._stream.fileno()).st_size
        try:
            # ASCII escapes keep even a lone surrogate
            self._write(json.dumps(row, sort_keys=True).encode() + b"\n")
        except OSError:
            self._cut(before)
            raise
        self.rows.append(row.copy())

    def close(self) -> None:
        """Close the file, which releases it for other processes."""
        self._stream.close()

    def _read(self) -> list[VoteRow]:
        lines = read_vote_lines(self.path)
        if is_whole(lines.rest):
            self._write(b"\n")
        elif lines.rest:
            torn = self.path.with_suffix(".torn")
            with torn.open("ab") as stream:
                stream.write(lines.rest + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            self._cut(lines.whole)
            self.mended = (
                f"the last line of {self.path} was cut off ({len(lines.rest)} bytes), as by a kill; it "
                f"was never confirmed, is now in {torn}, and its item comes again."
            )
        return lines.rows

    def _write(self, content: bytes) -> None:
        # unbuffered: a buffer would write a line that failed once more, with the next one
        done = 0
        while done < len(content):
            done += os.write(self._stream.fileno(), content[done:])
        os.fsync(self._stream.fileno())

    def _cut(self, size: int) -> None:
        os.ftruncate(self._stream.fileno(), size)
        os.fsync(self._stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Write the folder's entries to the disk, without which a new file may be lost in a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
