"""CSV: its delimiter, whether it quotes and whether it has a header line, and its rows as texts."""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.reading.encodings import skip_mark
from pipeline.reading.lines import read_lines
from pipeline.reading.plain_text import text_hint
from pipeline.reading.rows import MOST_COLUMNS, SpanRows
from pipeline.reading.unpacking import open_unpacked

_LONGEST_HEADING = 64
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_NAME = re.compile(r"[^\W\d]\w*")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class _Record:
    """One record of a table."""

    start: int
    """Its first byte."""
    size: int
    cells: list[str]


def load_table_rows(path: Path, *, limit: int) -> tuple[SpanRows, bool]:
    """The rows of a CSV file, every cell a text and an empty one None, and whether it has no header line.

    A file with tabs in its first line is tab separated, and unquoted if every line then has as many cells; one with
    semicolons and no commas there is separated by these. A first line with an empty (but the first or last), numeric
    or long cell is no header; the columns are then `column_1`, `column_2`, ...

    Args:
        limit: bytes of a row.

    Raises:
        ValueError: it is no UTF-8, a column is named twice, or a row is above the limit or never ends.
    """
    stream = open_unpacked(path)
    start = skip_mark(stream)
    options = _options(stream, start, limit)
    records = _records(stream, start, limit, options)
    first = next(records, None)
    if first is None:
        raise ValueError("it has no rows.")
    names = _header(first.cells)
    unnamed = not names
    names = names or [f"column_{number}" for number in range(1, len(first.cells) + 1)]
    rows = SpanRows(stream, partial(_parse, names=names, options=options))
    rows.column_names = names
    for record in chain([first] if unnamed else [], records):
        rows.append(record.start, record.size, broken=_defect(record, len(names), limit))
    if len(rows) and len(rows.broken) == len(rows):
        reasons = ", ".join(rows.reasons())
        hint = text_hint(path.name, rows, unnamed=unnamed)
        raise ValueError(f"no row can be read ({reasons}); its first line has {len(names)} cells. {hint}".rstrip())
    return rows, unnamed


def _options(stream: BinaryIO, start: int, limit: int) -> dict[str, Any]:
    line = next(read_lines(stream, start, limit=limit), None)
    first = (line.content or b"").rstrip(b"\r\n") if line else b""
    tabs = first.count(b"\t")
    if tabs and tabs >= first.count(b","):
        lines = (line.content or b"" for line in read_lines(stream, start, limit=limit))
        unquoted = all(line.count(b"\t") == tabs for line in lines if line.strip())
        return {"delimiter": "\t", "quoting": csv.QUOTE_NONE if unquoted else csv.QUOTE_MINIMAL}
    return {"delimiter": ";" if b";" in first and b"," not in first else ","}


class _Lines:
    """The lines of a table for `csv.reader`, and how far it has read."""

    def __init__(self, stream: BinaryIO, start: int, limit: int) -> None:
        self.end, self.number = start, 0
        self._lines = read_lines(stream, start, limit=limit)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.end, self.number = line.start + line.size, self.number + 1
        if line.content is None:
            raise ValueError(f"line {self.number} has more than data.max_row_megabytes.")
        return line.content.decode("utf-8", "surrogateescape")


def _records(stream: BinaryIO, start: int, limit: int, options: Mapping[str, Any]) -> Iterator[_Record]:
    csv.field_size_limit(limit)
    total = os.fstat(stream.fileno()).st_size
    lines = _Lines(stream, start, limit)
    reader = csv.reader(lines, **options)
    while lines.end < total:
        begin, number = lines.end, lines.number + 1
        try:
            cells = next(reader, [])
        except csv.Error as error:
            raise ValueError(
                f"the row that begins in line {number} cannot be read: {error}. Close its quotation mark, or raise "
                f"data.max_row_megabytes (now {limit / 2**20:g})."
            ) from error
        size = lines.end - begin
        if lines.end == total and _is_open(os.pread(stream.fileno(), size, begin), options):
            raise ValueError(f"the row that begins in line {number} opens a quotation mark that nothing closes.")
        if cells:
            yield _Record(begin, size, cells)


def _is_open(content: bytes, options: Mapping[str, Any]) -> bool:
    try:
        list(csv.reader([content.decode("utf-8", "surrogateescape")], strict=True, **options))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _header(cells: Sequence[str]) -> list[str]:
    """The names of the columns as pandas gives them; none where the first line is a row.

    Raises:
        ValueError: names that are repeated, or too many.
    """
    names = [cell.strip() for cell in cells]
    if len(names) > MOST_COLUMNS:
        raise ValueError(f"its first line has {len(names):,} cells, more than {MOST_COLUMNS} columns.")
    # indices of pandas have no name, and exports of tables end with an unnamed column often enough
    named = [name for at, name in enumerate(names) if name or at not in (0, len(names) - 1)]
    if not named or not all(_is_heading(name) for name in named):
        return []
    repeated = sorted(name for name, count in Counter(named).items() if count > 1)
    if repeated and all(_NAME.fullmatch(name) for name in named):
        raise ValueError(
            f"its first line has {repeated[0]!r} twice. Give each column a name of its own, or write a header line."
        )
    return [] if repeated else [name or f"Unnamed: {number}" for number, name in enumerate(names)]


def _is_heading(name: str) -> bool:
    return bool(name) and len(name) <= _LONGEST_HEADING and "\n" not in name and not _NUMBER.fullmatch(name)


def _defect(record: _Record, columns: int, limit: int) -> str | None:
    """Why a record is no row."""
    if any(_NOT_UTF8.search(cell) for cell in record.cells):
        return "not_utf8"
    if any(record.cells[columns:]):
        return "too_many_cells"
    return "row_too_large" if record.size > limit else None


def _parse(content: bytes, names: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    cells = next(csv.reader([content.decode("utf-8")], **options))
    return {name: cell or None for name, cell in zip(names, cells, strict=False)}
