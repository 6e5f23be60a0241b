"""Rows of the sources before they are read; the vote files of several annotators are joined to one source."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.params.data import Data
from pipeline.reading.arrow_rows import ArrowRows
from pipeline.reading.categories import EVERYTHING
from pipeline.reading.formats import select_fields
from pipeline.reading.rows import SpanRows
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style

Place = tuple[str, int]
"""A raw row: the name of its source, and its number from 1."""


@dataclass(frozen=True)
class FieldRows:
    """Rows of a source, under the names of the fields of its format; each part is read when it is asked for."""

    source: Source
    data: Data
    """The settings, with the format and the columns of the source."""
    indices: Sequence[int]
    """The indices of the rows that are read."""
    category: str = EVERYTHING
    """The category of rows where no column has one."""

    @property
    def in_any_process(self) -> bool:
        """Whether another process can read the rows, too."""
        return isinstance(self.source.rows, SpanRows | ArrowRows)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, part: slice) -> Iterable[Any]:
        rows = self.source.rows.select(self.indices[part])
        return select_fields(replace(self.source, rows=rows), self.data, category=self.category)

    def __iter__(self) -> Iterator[Any]:
        whole = len(self.indices) == len(self.source.rows)
        source = self.source if whole else replace(self.source, rows=self.source.rows.select(self.indices))
        return iter(select_fields(source, self.data, category=self.category))


@dataclass(frozen=True)
class RawRows:
    """The rows of one source, under the names of the fields of its format."""

    name: str
    rows: Iterable[Any]
    data: Data
    """The settings, with the format and the columns of the source."""
    share: float = 1.0
    """Share of the prompts that are used, chosen by their hash."""
    style: Style = field(default_factory=Style)
    """How chats are written out."""
    names: tuple[str, ...] = ()
    """The names of the sources that were joined; none for a single source."""
    joined: list[Place] = field(default_factory=list)
    """Where each of the joined rows comes from, as far as they have been read."""

    def places(self, rows: Sequence[int]) -> list[Place]:
        """The raw rows of these numbers, which go from 1 through all joined sources."""
        return [self.joined[row - 1] if self.names else (self.name, row) for row in rows]


def join_votes(sources: Iterable[RawRows]) -> Iterator[RawRows]:
    """The sources, with all files of votes joined to one behind the others, so that the votes on a pair are counted
    together; files of which different shares are used stay apart."""
    by_share: dict[float, list[RawRows]] = {}
    for source in sources:
        if source.data.format == "comparisons" and source.data.columns.annotator:
            by_share.setdefault(source.share, []).append(source)
        else:
            yield source
    for parts in by_share.values():
        yield parts[0] if len(parts) == 1 else _join(parts)


def _join(parts: Sequence[RawRows]) -> RawRows:
    places: list[Place] = []

    def rows() -> Iterator[Any]:
        for part in parts:
            for number, row in enumerate(part.rows, start=1):
                places.append((part.name, number))
                yield row

    names = tuple(part.name for part in parts)
    return RawRows(parts[0].name, rows(), parts[0].data, parts[0].share, parts[0].style, names, places)
