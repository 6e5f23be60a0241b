"""Rows of a file of texts, each read when it is asked for."""

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing import reduction
from typing import Any, BinaryIO, Protocol

Row = Mapping[str, Any]
"""A row as its file has it, or under the names of the fields of a format: nobody knows beforehand what it holds."""
BROKEN = "broken_row"
"""Key of a row that could not be read; its value is the reason, and `line` what stands there."""
UNUSED = "unused_part"
"""Key of a part of a row that is read, but not used; its value is the reason."""
SEEN = "seen_in_row"
"""Key of a BROKEN part; its value is what was seen, shortened."""
PARTS = "parts_of_row"
"""Key of the rows that one row of a file stands for, each with the fields of a format, or BROKEN, or UNUSED."""
NOT_UTF8 = "not_utf8"
"""Reason for a row whose bytes are not valid UTF-8."""
MOST_COLUMNS = 1000
"""Most columns of a table; one with more has data in place of its column names."""
LONGEST_NAME = 256
"""Characters of a name of a column; a longer one is a text."""
_SHOWN = 2000


class Unparsable(Exception):
    """A row that cannot be read; the message is the reason that is counted."""


class Rows(Protocol):
    """Rows of a file or data set, each read from the disk when it is asked for."""

    @property
    def column_names(self) -> list[str]: ...

    def select_columns(self, names: list[str]) -> "Rows": ...

    def select(self, indices: Sequence[int]) -> "Rows": ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Row: ...

    def __iter__(self) -> Iterator[Row]: ...


class SpanRows:
    """Rows by where they are in a file: 16 bytes of memory each, however long they are."""

    def __init__(self, stream: BinaryIO, parse: Callable[[bytes], Row]) -> None:
        self.column_names: list[str] = []
        self._stream, self._parse = stream, parse
        self._starts, self._sizes = array("Q"), array("Q")
        self.broken: dict[int, str] = {}
        """Why rows cannot be read, by their index."""
        self.delimiter: str | None = None
        """What separates the cells, of a table."""
        self.notes: list[str] = []
        """What was found in the whole file and does not stop a run, a sentence each."""

    def append(self, start: int, size: int, *, broken: str | None = None) -> None:
        """The next row: its bytes in the file, and why it cannot be read."""
        if broken:
            self.broken[len(self)] = broken
        self._starts.append(start)
        self._sizes.append(size)

    def reasons(self) -> list[str]:
        """The reasons in `broken`, each once."""
        return sorted(set(self.broken.values()))

    def content(self, index: int) -> bytes:
        """The bytes of a row."""
        return os.pread(self._stream.fileno(), self._sizes[index], self._starts[index])

    def select_columns(self, names: Sequence[str]) -> "SpanRows":
        """The same rows with these columns alone."""
        chosen = SpanRows(self._stream, self._parse)
        chosen.column_names = list(names)
        chosen._starts, chosen._sizes, chosen.broken = self._starts, self._sizes, self.broken
        return chosen

    def select(self, indices: Iterable[int]) -> "SpanRows":
        """These rows alone."""
        chosen = SpanRows(self._stream, self._parse)
        chosen.column_names = self.column_names
        for index in indices:
            chosen.append(self._starts[index], self._sizes[index], broken=self.broken.get(index))
        return chosen

    def __getstate__(self) -> dict[str, Any]:
        """For a process that is started with these rows: it reads the same file, whatever its name is by then."""
        return {**self.__dict__, "_stream": reduction.DupFd(self._stream.fileno())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # never moved to a place: the descriptor's own is that of all processes
        self.__dict__ = {**state, "_stream": os.fdopen(state["_stream"].detach(), "rb")}

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> Row:
        """One row; a column that it lacks is None."""
        start, size = self._starts[index], self._sizes[index]
        if reason := self.broken.get(index):
            line = os.pread(self._stream.fileno(), min(size, _SHOWN), start)
            return {BROKEN: reason, "line": line.decode("utf-8", "backslashreplace").rstrip("\r\n")}
        row = self._parse(os.pread(self._stream.fileno(), size, start))
        return {name: row.get(name) for name in self.column_names}

    def __iter__(self) -> Iterator[Row]:
        return (self[index] for index in range(len(self)))
