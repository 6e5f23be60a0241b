"""Rows of a benchmark file, or of a data set on the hub."""

from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.reading.arrow_rows import load_arrow_rows
from pipeline.reading.hub_rows import load_hub_rows
from pipeline.reading.json_rows import load_json_rows
from pipeline.reading.unpacking import PACKED, unpacked_suffix

Row = dict[str, Any]
_LARGEST_ROW = 2**26
"""Bytes of the largest row that is read."""
_SHOWN = 200


def read_rows(source: str, *, split: str = "train", revision: str | None = None) -> list[Row]:
    """Read all rows of a benchmark, in their order.

    Args:
        source: a file (.json or .jsonl, also packed, or .parquet), or hub:OWNER/NAME.
        split, revision: which rows of a data set on the hub.

    Raises:
        PipelineError: the file is missing, has no rows, or cannot be read, naming it and the row that cannot be read.
    """
    if source.startswith("hub:"):
        rows = _read_hub(source.removeprefix("hub:"), split, revision)
    else:
        rows = _read_file(Path(source))
    if not rows:
        raise PipelineError(f"{source} has no rows.")
    return rows


def _read_file(path: Path) -> list[Row]:
    if not path.is_file():
        raise PipelineError(f"{path}: no such file. Correct the path, or name a data set as hub:OWNER/NAME.")
    try:
        if path.suffix.lower() == ".parquet":
            return [dict(row) for row in load_arrow_rows(path, limit=_LARGEST_ROW)]
        if unpacked_suffix(path) not in (".json", ".jsonl"):
            raise ValueError(f"use .json or .jsonl ({', '.join(PACKED)} may follow), or .parquet.")
        rows = load_json_rows(path, limit=_LARGEST_ROW)
    except (ValueError, OSError) as error:
        raise PipelineError(f"{path}: cannot be read: {error}") from error
    for number, reason in rows.broken.items():
        # half a benchmark is another benchmark: nothing is left out
        raise PipelineError(f"{path}, row {number + 1}: {reason}: {shorten(rows[number]['line'], _SHOWN)}")
    return [dict(row) for row in rows]


def _read_hub(name: str, split: str, revision: str | None) -> list[Row]:
    try:
        return list(load_hub_rows(name, split=split, revision=revision))
    except ValueError as error:
        raise PipelineError(f"{error} Check the id, --split and the network.") from error


def text_field(row: Row, field: str, where: str) -> str:
    """A field of a row that has to be a text.

    Args:
        where: file and row, for the error.

    Raises:
        PipelineError: the field is missing, or is no text.
    """
    value = row.get(field)
    if not isinstance(value, str):
        defect = "is missing" if field not in row else f"is no text but a {type(value).__name__}"
        raise PipelineError(f"{where}: {field!r} {defect}.")
    return value
