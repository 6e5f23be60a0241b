"""Writes large tables, whose rows several processes make, check and turn into lines."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.data.batches import batches_of
from pipeline.data.records import record_line, write_lines
from pipeline.data.tables import check_rows
from pipeline.data.views import View
from pipeline.processes import map_in_processes

_BATCH = 2_000
_ALONE = 20_000
"""Fewer rows are written before another process has started."""


@dataclass(frozen=True)
class Table:
    """The rows of a file."""

    path: Path
    rows: Sequence[Mapping[str, object]]
    """Rows; where they are many, a `View`, which makes each when it is asked for."""
    schema: str
    """The name of the schema in TABLES."""

    @property
    def sizes(self) -> np.ndarray:
        """Bytes of each row; 0 where they are not known: (N,)."""
        known = self.rows.sizes if isinstance(self.rows, View) else None
        return np.zeros(len(self.rows), dtype=np.int64) if known is None else known


def write_tables(tables: Sequence[Table], *, processes: int = 1) -> None:
    """Write tables as JSON Lines; a table that its schema refuses is not written, nor are the tables after it.

    Args:
        processes: the most processes that write, where there are many rows; the files do not depend on it.

    Raises:
        PipelineError: a schema refuses a row, naming file, row and column.
    """
    batches = [batches_of(table.sizes, rows=_BATCH) for table in tables]
    items = ((number, positions) for number, parts in enumerate(batches) for positions in parts)
    if sum(len(table.rows) for table in tables) < _ALONE:
        processes = 1
    with closing(map_in_processes(_Lines(tables), items, processes=processes)) as found:
        for table, parts in zip(tables, batches, strict=True):
            write_lines(table.path, islice(found, len(parts)))


@dataclass(frozen=True)
class _Lines:
    """Makes the lines of some rows of a table."""

    tables: Sequence[Table]

    def __call__(self, batch: tuple[int, range]) -> bytes:
        number, positions = batch
        table = self.tables[number]
        rows = list(table.rows[positions.start : positions.stop])
        check_rows(table.path, rows, table.schema, positions.start)
        return b"".join(map(record_line, rows))
