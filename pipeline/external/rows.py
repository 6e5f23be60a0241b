"""Rows of a benchmark file, or of a data set on the hub."""

import json
from pathlib import Path
from typing import Any

from datasets import disable_progress_bars, load_dataset
from datasets.exceptions import DatasetsError

from pipeline.errors import PipelineError

Row = dict[str, Any]


def read_rows(source: str, *, split: str = "train", revision: str | None = None) -> list[Row]:
    """All rows, in their order.

    Args:
        source: a file (.json with a list, .jsonl, .parquet), or hub:OWNER/NAME.
        split, revision: of a data set on the hub.

    Raises:
        PipelineError: naming the file and, where there is one, the row: it is missing, cannot be read, or has no rows.
    """
    if source.startswith("hub:"):
        rows = _read_hub(source.removeprefix("hub:"), split, revision)
    else:
        rows = _read_file(Path(source))
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise PipelineError(f"{source}, row {number}: not an object but a {type(row).__name__}.")
    if not rows:
        raise PipelineError(f"{source} has no rows.")
    return rows


def _read_file(path: Path) -> list[Row]:
    if not path.is_file():
        raise PipelineError(f"{path}: no such file. Correct the path, or name a data set as hub:OWNER/NAME.")
    if path.suffix == ".parquet":
        return _read_parquet(path)
    if path.suffix not in (".json", ".jsonl"):
        raise PipelineError(f"{path}: cannot read {path.suffix or 'such'} files; use .json, .jsonl or .parquet.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: not UTF-8: {error}") from error
    if path.suffix == ".json" and text.lstrip().startswith("["):
        try:
            return list(json.loads(text))
        except json.JSONDecodeError as error:
            raise PipelineError(f"{path}: not JSON: {error}") from error
    # many files named .json hold an object a line; only a newline ends one, as texts may hold other line breaks
    return [_parse(line, path, number) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _parse(line: str, path: Path, number: int) -> Row:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise PipelineError(f"{path}, line {number}: not JSON: {error}") from error


def _read_parquet(path: Path) -> list[Row]:
    disable_progress_bars()
    try:
        return list(load_dataset("parquet", data_files=[str(path)], split="train"))
    except (DatasetsError, ValueError, OSError) as error:
        raise PipelineError(f"{path}: cannot be read: {' '.join(str(error.__cause__ or error).split())}") from error


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
