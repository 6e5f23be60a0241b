"""Rows of a source that can be read, some from all over it or all of them."""

from collections.abc import Iterable, Iterator, Sequence

from pipeline.reading.rows import BROKEN, Row
from pipeline.reading.sources import Source

MOST = 2000
"""Rows that are looked at to find out what a source is."""
NumberedRow = tuple[int, Row]


def sample_rows(source: Source, names: Sequence[str]) -> Iterator[NumberedRow]:
    """At most MOST rows from all over a source, with these columns, and their numbers from 1."""
    count = len(source.rows)
    return read_rows(source, names, range(count) if count <= MOST else [at * count // MOST for at in range(MOST)])


def read_rows(source: Source, names: Sequence[str], indices: Iterable[int] | None = None) -> Iterator[NumberedRow]:
    """Rows with these columns, and their numbers from 1; all where no indices, from 0, are given."""
    rows = source.rows.select_columns(list(dict.fromkeys(names)))
    # one by one takes several times as long as all
    numbered = enumerate(rows) if indices is None else ((at, rows[at]) for at in indices)
    return ((at + 1, row) for at, row in numbered if BROKEN not in row)
