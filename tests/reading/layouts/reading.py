"""Rows of one source, read from detection to entries."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from pipeline.params.data import Data
from pipeline.reading.entries import read_entries
from pipeline.reading.entry import Entry
from pipeline.reading.formats import as_read, detect_format, select_fields
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style


class Rows(list[dict[str, Any]]):
    """Rows as a file of JSON has them: each with its own types, and None for a column that it lacks."""

    @property
    def column_names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self for name in row))

    def select_columns(self, names: Sequence[str]) -> "Rows":
        return Rows({name: row.get(name) for name in names} for row in self)


def source(rows: Sequence[dict[str, Any]] | Dataset) -> Source:
    found = rows if isinstance(rows, Dataset) else Rows(rows).select_columns(Rows(rows).column_names)
    return Source("rows.jsonl", found, 1.0)  # type: ignore[arg-type]


def read(rows: Sequence[dict[str, Any]], data: Data) -> tuple[str, list[Entry]]:
    """The format that is found, and what every row became."""
    raw = source(rows)
    resolved = detect_format(raw, data)
    return resolved.format, list(read_entries(select_fields(raw, resolved), as_read(resolved), Style()))


def preference(entry: Entry) -> tuple[str, str, str] | str:
    """Prompt, chosen and rejected, or the reason."""
    if entry.record is None:
        return entry.reason
    prompt, chosen, rejected = (entry.record[name] for name in ("prompt", "chosen", "rejected"))
    return prompt, chosen, rejected
