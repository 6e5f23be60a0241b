"""The rows of CSV tables as texts, and whether a table has a header line."""

import csv
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.reading.delimiters import delimiter_of
from pipeline.reading.encodings import skip_mark
from pipeline.reading.foreign_encodings import advise_encoding, note_encoding
from pipeline.reading.plain_text import text_hint
from pipeline.reading.rows import MOST_COLUMNS, NOT_UTF8, SpanRows
from pipeline.reading.table_records import Record, Table, read_records
from pipeline.reading.unpacking import open_unpacked

_HEAD = 2**16
"""Bytes by which an encoding is guessed."""
_LONGEST_HEADING = 64
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_NAME = re.compile(r"[^\W\d]\w*")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def load_table_rows(path: Path, *, limit: int) -> tuple[SpanRows, bool]:
    """The rows of a CSV file, every cell a text and an empty one None, and whether it has no header line.

    `delimiter_of` says what separates them. A first line with an empty (but the first or last), numeric or long cell is
    not a header; the columns are then `column_1`, `column_2`, ...

    Args:
        limit: bytes of a row.

    Raises:
        ValueError: it is not UTF-8, a column is named twice, a row is above the limit or never ends, or it is not clear
            what belongs to a cell.
    """
    stream = open_unpacked(path)
    begin = skip_mark(stream, path)
    start, options = delimiter_of(stream, begin, limit)
    table = Table(path, stream, start, line=2 if start > begin else 1, options=options)
    records = read_records(table, limit)
    first = next(records, None)
    if first is None:
        raise ValueError("it has no rows.")
    names = _header(first.cells)
    if any(map(_NOT_UTF8.search, names)):
        raise ValueError(f"its first line is not UTF-8. {advise_encoding(os.pread(stream.fileno(), _HEAD, 0), path)}")
    unnamed = not names
    names = names or [f"column_{number}" for number in range(1, len(first.cells) + 1)]
    rows = SpanRows(stream, partial(_parse, names=names, options=options))
    rows.column_names, rows.delimiter = names, options["delimiter"]
    for record in chain([first] if unnamed else [], records):
        rows.append(record.start, record.size, broken=_defect(record, len(names), limit))
    rows.notes += filter(None, [note_encoding(rows, path)])
    if len(rows) and len(rows.broken) == len(rows):
        reasons = ", ".join(rows.reasons())
        hint = text_hint(path.name, rows, unnamed=unnamed)
        raise ValueError(f"no row can be read ({reasons}); its first line has {len(names)} cells. {hint}".rstrip())
    return rows, unnamed


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


def _defect(record: Record, columns: int, limit: int) -> str | None:
    """Why a record cannot be read as a row."""
    if any(_NOT_UTF8.search(cell) for cell in record.cells):
        return NOT_UTF8
    if any(record.cells[columns:]):
        return "too_many_cells"
    return "row_too_large" if record.size > limit else None


def _parse(content: bytes, names: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    cells = next(csv.reader([content.decode("utf-8")], **options))
    return {name: cell or None for name, cell in zip(names, cells, strict=False)}
