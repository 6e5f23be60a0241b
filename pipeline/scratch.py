"""What is too much for memory: a temporary file that several processes write to and read from."""

import multiprocessing
import os
import tempfile
from multiprocessing import reduction
from pathlib import Path
from typing import Any


class ScratchFile:
    """Bytes by their place in a file without a name, which is gone when no process has it open.

    A process that is started with it, as those of `map_in_processes` are, has the same file.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Args:
        folder: where it lies; None is the system's for temporary files.
        """
        self._stream = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (it lives as long as this)
        self._end = multiprocessing.get_context("spawn").Value("Q", 0)

    def append(self, content: bytes) -> int:
        """Write behind everything else, and return the place of the first byte."""
        with self._end.get_lock():
            start = int(self._end.value)
            self._end.value = start + len(content)
        left, at = memoryview(content), start
        while left:
            written = os.pwrite(self._stream.fileno(), left, at)
            left, at = left[written:], at + written
        return start

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from a place on."""
        return os.pread(self._stream.fileno(), size, start)

    def __getstate__(self) -> dict[str, Any]:
        return {"descriptor": reduction.DupFd(self._stream.fileno()), "end": self._end}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._stream = os.fdopen(state["descriptor"].detach(), "r+b", buffering=0)
        self._end = state["end"]
