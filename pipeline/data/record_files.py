"""Records of a file of any size, each read when it is asked for."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from pipeline.data.records import MEND, NO_ROWS, JsonObject
from pipeline.errors import PipelineError

_BLOCK = 2**24
_ROWS = 1000
"""Lines that are read at once where all records are asked for."""


class RecordFile(Sequence[JsonObject]):
    """JSON Lines as a sequence: 8 bytes of memory for each line.

    Raises:
        PipelineError: on access to a line that is no JSON object, naming file and line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = path.open("rb")
        self._ends = _line_ends(path) if self._stream.read(2) != NO_ROWS else np.zeros(0, dtype=np.int64)

    def __reduce__(self) -> tuple[type["RecordFile"], tuple[Path]]:
        return RecordFile, (self.path,)

    @property
    def sizes(self) -> np.ndarray:
        """Bytes of each line: (N,)."""
        return np.diff(self._ends, prepend=0)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> JsonObject: ...
    @overload
    def __getitem__(self, index: slice) -> list[JsonObject]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        return self._parse(at, self.lines(at, at + 1)[0])

    def __iter__(self) -> Iterator[JsonObject]:
        for at in range(0, len(self), _ROWS):
            yield from self.part(at, min(at + _ROWS, len(self)))

    def part(self, start: int, stop: int) -> Iterator[JsonObject]:
        """The records from the position `start` up to and without `stop`."""
        for at, line in enumerate(self.lines(start, stop), start=start):
            yield self._parse(at, line)

    def lines(self, start: int, stop: int) -> list[bytes]:
        """The lines of the records from `start` up to and without `stop`, without their line ends."""
        begin = int(self._ends[start - 1]) if start else 0
        content = os.pread(self._stream.fileno(), int(self._ends[stop - 1]) - begin, begin)
        return content.removesuffix(b"\n").split(b"\n")

    def _parse(self, at: int, line: bytes) -> JsonObject:
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise PipelineError(f"{self.path}, line {at + 1}: not JSON: {error}. {MEND}") from error
        if not isinstance(row, dict):
            raise PipelineError(f"{self.path}, line {at + 1}: not an object but a {type(row).__name__}. {MEND}")
        return row


def _line_ends(path: Path) -> np.ndarray:
    """The offset of the byte behind each line: (N,)."""
    found, size = [], 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            found.append(np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n")) + (size + 1))
            size += len(block)
    ends = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
    return np.append(ends, size) if size and (not len(ends) or ends[-1] != size) else ends
