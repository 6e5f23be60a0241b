"""The raw rows that a run read, looked up by source and number, or by a text in them."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.lineage.needle import Needle
from pipeline.lineage.source_files import SourceFile, SourceFiles

_NO_LIMIT = 2**40
"""Bytes; the limit of a row for runs from before `data.max_row_megabytes` existed."""


class RawSources:
    """The sources that prepare_data read, each opened when one of its rows is needed.

    Rows come only from a file with the very content that the run read, wherever that file is.
    """

    def __init__(self, sources: SourceFiles) -> None:
        self._sources = sources
        self._rows: dict[str, Sequence[Any] | None] = {}
        self._links: tempfile.TemporaryDirectory[str] | None = None
        self.missing: list[str] = [sources.missing] if sources.missing else []
        """Why some rows cannot be read, a sentence each."""

    def row(self, source: str, number: int) -> Any:
        """A row by its number, from 1; None if it cannot be read."""
        known = self._sources.all.get(source)
        rows = self._of(known) if known is not None else None
        return rows[number - 1] if rows is not None and 0 < number <= len(rows) else None

    def containing(self, text: str) -> Iterator[tuple[str, int, str]]:
        """Source, number and text of every row that contains the text, ignoring case and white space."""
        needle = Needle(text)
        for source in self._sources.all.values():
            for number, row in enumerate(self._of(source) or (), start=1):
                shown = row_text(row)
                if needle.is_in(shown):
                    yield source.name, number, shown

    def _of(self, source: SourceFile) -> Sequence[Any] | None:
        if source.name not in self._rows:
            self._rows[source.name] = None
            try:
                self._rows[source.name] = self._open(source)
            except PipelineError as error:
                self.missing.append(str(error))
        return self._rows[source.name]

    def _open(self, source: SourceFile) -> Sequence[Any]:
        from pipeline.reading.sources import load_rows  # takes seconds to import

        file = self._sources.locate(source)
        megabytes = self._sources.largest_row
        limit = _NO_LIMIT if megabytes is None else int(megabytes * 2**20)
        split = self._sources.split
        rows: Sequence[Any] = load_rows(self._named(file, source), limit=limit, split=split)  # type: ignore[assignment]
        if source.rows is not None and len(rows) != source.rows:
            raise PipelineError(
                f"{source.name} has {len(rows):,} rows as the code now reads it, and had {source.rows:,} in the run. "
                "Its rows are not shown, because their numbers may be others"
            )
        return rows

    def _named(self, file: Path, source: SourceFile) -> Path:
        """A link to a file under the name of its source, whose suffix says how to read it: a cached file has none."""
        name = Path(source.path).name
        if file.name == name:
            return file
        self._links = self._links or tempfile.TemporaryDirectory()
        link = Path(tempfile.mkdtemp(dir=self._links.name)) / name
        link.symlink_to(file.resolve())
        return link


def row_text(row: Any) -> str:
    """All texts and numbers of a row, at any depth, joined by ` | `."""
    if isinstance(row, Mapping):
        return " | ".join(filter(None, map(row_text, row.values())))
    if isinstance(row, list | tuple):
        return " | ".join(filter(None, map(row_text, row)))
    return "" if row is None or isinstance(row, bool) else str(row)
