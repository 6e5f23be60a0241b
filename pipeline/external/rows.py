"""Rows of a benchmark file, or of a data set on the hub."""

from pathlib import Path
from typing import Any

from datasets import disable_progress_bars, load_dataset
from datasets.exceptions import DatasetsError

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.reading.arrow_rows import load_arrow_rows
from pipeline.reading.json_rows import load_json_rows
from pipeline.reading.unpacking import PACKED

Row = dict[str, Any]
_LARGEST_ROW = 2**26
"""Bytes."""
_SHOWN = 200


def read_rows(source: str, *, split: str = "train", revision: str | None = None) -> list[Row]:
    """All rows, in their order.

    Args:
        source: a file (.json or .jsonl, also packed, or .parquet), or hub:OWNER/NAME.
        split, revision: of a data set on the hub.

    Raises:
        PipelineError: naming the file and, where there is one, the row: it is missing, cannot be read, or has no rows.
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
    kind = (path.with_suffix("") if path.suffix in PACKED else path).suffix
    try:
        if path.suffix == ".parquet":
            return [dict(row) for row in load_arrow_rows(path, limit=_LARGEST_ROW)]
        if kind not in (".json", ".jsonl"):
            raise ValueError(f"use .json or .jsonl ({', '.join(PACKED)} may follow), or .parquet.")
        rows = load_json_rows(path, limit=_LARGEST_ROW)
    except (ValueError, OSError) as error:
        raise PipelineError(f"{path}: cannot be read: {error}") from error
    for number, reason in rows.broken.items():
        # half a benchmark is another benchmark: nothing is left out
        raise PipelineError(f"{path}, row {number + 1}: {reason}: {shorten(rows[number]['line'], _SHOWN)}")
    return [dict(row) for row in rows]


def _read_hub(name: str, split: str, revision: str | None) -> list[Row]:
    disable_progress_bars()
    try:
        return list(load_dataset(name, split=split, revision=revision))
    except (DatasetsError, ValueError, OSError) as error:
        raise PipelineError(
            f"cannot load split {split!r} of hub data set {name!r}: {' '.join(str(error).split())} "
            "Check the id, --split and the network."
        ) from error


def text_field(row: Row, field: str, place: str) -> str:
    """A text of a row.

    Raises:
        PipelineError: naming `place`: the field is missing or no text.
    """
    value = row.get(field)
    if not isinstance(value, str):
        found = "is missing" if field not in row else f"is no text but a {type(value).__name__}"
        raise PipelineError(f"{place}: {field!r} {found}.")
    return value
