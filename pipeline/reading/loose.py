"""JSON that no table can hold: a column with texts here and lists there, or lines that are broken."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import zstandard

BROKEN = "broken_row"
"""Key of a row that could not be read; its value is the reason, and `line` what stands there."""
_OPENERS: dict[str, Callable[..., IO[str]]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
    ".zst": zstandard.open,
}
_SHOWN = 2000


def open_text(path: Path, *, errors: str = "strict") -> IO[str]:
    """A text file, compressed or not; line breaks stay as they are."""
    opener = _OPENERS.get(path.suffix.lower())
    # newline="": a line break inside quotation marks belongs to its cell
    if opener:
        return opener(path, "rt", encoding="utf-8", errors=errors, newline="")
    return path.open(encoding="utf-8", errors=errors, newline="")


class LooseRows:
    """Rows as dictionaries in memory, with what this package uses of a `datasets.Dataset`."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], column_names: list[str]) -> None:
        self._rows = rows
        self.column_names = column_names

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        """One row; a column that it lacks is None."""
        row = self._rows[index]
        return row if BROKEN in row else {name: row.get(name) for name in self.column_names}

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return (self[index] for index in range(len(self)))


def load_loose_rows(path: Path) -> LooseRows:
    """An array of objects, or an object a line; a line that is none becomes a row that says why.

    Raises:
        ValueError: an array that is no JSON, or no row can be read.
    """
    with open_text(path, errors="surrogateescape") as stream:
        text = stream.read()
    if text.lstrip("\ufeff \t\r\n").startswith("["):
        rows = [_row(value) for value in _parse_array(text)]
    else:
        rows = [_parse_line(line) for line in text.split("\n") if line.strip()]
    names = list(dict.fromkeys(name for row in rows if BROKEN not in row for name in row))
    if not names:
        reasons = sorted({str(row.get(BROKEN, "empty_object")) for row in rows}) or ["it is empty"]
        raise ValueError(f"no row can be read ({', '.join(reasons)})")
    return LooseRows(rows, names)


def _parse_array(text: str) -> list[Any]:
    try:
        values = json.loads(text.lstrip("\ufeff"))
    except RecursionError:
        raise ValueError("its array is nested too deeply") from None
    assert isinstance(values, list), "it begins with a bracket"
    return values


def _parse_line(line: str) -> dict[str, Any]:
    if any("\udc80" <= character <= "\udcff" for character in line):
        return _broken("not_utf8", line)
    try:
        return _row(json.loads(line.lstrip("\ufeff")))
    except (ValueError, RecursionError):
        return _broken("malformed_json", line)


def _row(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else _broken("not_an_object", json.dumps(value))


def _broken(reason: str, line: str) -> dict[str, Any]:
    return {BROKEN: reason, "line": line[:_SHOWN]}
