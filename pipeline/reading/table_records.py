"""The records of a table. It is refused where its quotation marks make it ambiguous what belongs to a cell.

A quotation mark that is neither doubled nor the end of its cell lets a reader lose text in silence, or take the next
cells and rows for a part of this one.
"""

import csv
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.reading.commands import as_json_lines, python_command
from pipeline.reading.lines import read_lines


@dataclass(frozen=True)
class Table:
    """A file of records."""

    path: Path
    stream: BinaryIO
    """The bytes of the file, unpacked."""
    start: int
    """The first byte of the first record."""
    line: int
    """The number of the line of the first record, from 1."""
    options: Mapping[str, Any]
    """What `csv.reader` has to know."""


@dataclass(frozen=True)
class Record:
    """One record of a table."""

    start: int
    """Offset of the first byte of the record."""
    size: int
    cells: list[str]
    line: int
    """The number of the first line of the record, from 1."""


def read_records(table: Table, limit: int) -> Iterator[Record]:
    """Records in their order.

    Args:
        limit: bytes of a line and of a cell.

    Raises:
        ValueError: with the line in which a record begins that cannot be read, and what to do.
    """
    has_backslash = False
    for record in _records(table, limit):
        has_backslash = has_backslash or any(cell.endswith("\\") or '\\"' in cell for cell in record.cells)
        yield record
    if has_backslash and table.options.get("quoting") != csv.QUOTE_NONE:
        _refuse_halves(table, limit)


def _records(table: Table, limit: int) -> Iterator[Record]:
    csv.field_size_limit(limit)
    descriptor = table.stream.fileno()
    total = os.fstat(descriptor).st_size
    lines = _Lines(table, limit)
    reader = csv.reader(lines, strict=True, **table.options)
    while lines.end < total:
        begin, number = lines.end, lines.number + 1
        try:
            cells = next(reader, [])
        except csv.Error as error:
            content = os.pread(descriptor, lines.end - begin, begin)
            raise ValueError(_why_unread(table, number, content, str(error), limit)) from error
        if cells:
            yield Record(begin, lines.end - begin, cells, number)


class _Lines:
    """The lines of a table for `csv.reader`, and how far it has read."""

    def __init__(self, table: Table, limit: int) -> None:
        self.end, self.number = table.start, table.line - 1
        self._lines = read_lines(table.stream, table.start, limit=limit)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.end, self.number = line.start + line.size, self.number + 1
        if line.content is None:
            raise ValueError(f"line {self.number} has more than data.max_row_megabytes.")
        return line.content.decode("utf-8", "surrogateescape")


def _why_unread(table: Table, number: int, content: bytes, error: str, limit: int) -> str:
    """What is wrong with a row that begins in a line with this number, and what to do."""
    row = f"the row that begins in line {number}"
    if b'\\"' in content and "limit" not in error:
        return _escaped(table, number)
    if "unexpected end" in error:
        return f"{row} opens a quotation mark that nothing closes."
    if "expected after" in error:
        return (
            f"{row} goes on behind the closing quotation mark of a cell, so that it is not clear what belongs to it. "
            'Inside a cell in quotation marks write each quotation mark twice (""), and nothing between the closing '
            "one and the next delimiter; write plain text as JSON Lines."
        )
    return (
        f"{row} cannot be read: {error}. Close its quotation mark, or raise data.max_row_megabytes (now "
        f"{limit / 2**20:g})."
    )


def _refuse_halves(table: Table, limit: int) -> None:
    r"""Raise ValueError where a cell in marks has a backslash before one, and a cell without marks has one inside.

    Each alone may be a text. Of `"a \", b"` they are the two halves.
    """
    sign = re.escape(table.options["delimiter"].encode())
    cell = re.compile(rb'(?:^|%b)("(?:[^"]|"")*"|[^%b\r\n]*)' % (sign, sign))
    first: int | None = None
    has_mark = False
    for record in _records(table, limit):
        cells = cell.findall(os.pread(table.stream.fileno(), record.size, record.start))
        if first is None and any(one.startswith(b'"') and b'\\"' in one for one in cells):
            first = record.line
        has_mark = has_mark or any(b'"' in one and not one.startswith(b'"') for one in cells)
        if first and has_mark:
            raise ValueError(_escaped(table, first))


def _escaped(table: Table, number: int) -> str:
    old, new = str(table.path), as_json_lines(table.path)
    code = (
        f"import pandas; pandas.read_csv({old!r}, sep={table.options['delimiter']!r}, escapechar=chr(92), "
        f"doublequote=False, dtype=str, keep_default_na=False).to_json({new!r}, orient='records', lines=True)"
    )
    return (
        f"the row that begins in line {number} has a backslash before a quotation mark inside a cell, where CSV writes "
        f"the mark twice. If backslashes escape in all of it, write it anew by `{python_command(code)}`, and "
        "put the new file in the place of the old one; where one stands for itself and has none before it, it goes."
    )
