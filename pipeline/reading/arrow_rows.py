"""Parquet and Arrow files as a memory-mapped data set, read a few rows at a time, however large they are unpacked."""

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from multiprocessing import reduction
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from pyarrow import parquet

from pipeline.reading.arrow_sizes import unpacked_size
from pipeline.reading.rows import MOST_COLUMNS, Row
from pipeline.reading.signatures import HEAD, refuse_other_kind

_BATCH = 256
"""Most rows in memory at once; a dictionary of Parquet may repeat one long text in each."""
_ALWAYS_UNFOLDED = 2**28
"""Bytes; a larger table may have at most _LARGEST_RATIO times the size of its file."""
_LARGEST_RATIO = 100


_LARGE = 2**24
"""Bytes; rows that are larger together are in memory one at a time."""


class ArrowRows:
    """Rows of a table in a file, which is mapped into memory: what is not read is not in it."""

    def __init__(self, stream: IO[bytes], table: pa.Table | None = None) -> None:
        """Args:
        stream: of Arrow's streaming format.
        table: a part of it; None is all.
        """
        self._stream, self._is_whole = stream, table is None
        self._table = _mapped(stream) if table is None else table

    @property
    def column_names(self) -> list[str]:
        """The rows in their order."""
        return list(self._table.column_names)

    def select_columns(self, names: Sequence[str]) -> "ArrowRows":
        """The same rows with these columns alone."""
        return ArrowRows(self._stream, self._table.select(list(names)))

    def select(self, indices: Iterable[int]) -> "ArrowRows":
        """These rows alone, which are ascending."""
        runs = [[at for _, at in run] for _, run in groupby(enumerate(indices), key=lambda one: one[1] - one[0])]
        parts = [self._table.slice(run[0], len(run)) for run in runs] or [self._table.slice(0, 0)]
        return ArrowRows(self._stream, pa.concat_tables(parts))

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: int) -> Row:
        rows: list[dict[str, Any]] = self._table.slice(range(len(self))[index], 1).to_pylist()
        return rows[0]

    def __iter__(self) -> Iterator[Row]:
        for batch in self._table.to_batches():
            size = 1 if batch.nbytes > _LARGE else _BATCH
            for start in range(0, batch.num_rows, size):
                yield from batch.slice(start, size).to_pylist()

    def __reduce__(self) -> tuple[Any, ...]:
        """For a process that is started with these rows: it reads the same file; a part of one is copied."""
        descriptor = reduction.DupFd(self._stream.fileno())
        return _in_process, (descriptor, None if self._is_whole else self._table)


def _mapped(stream: IO[bytes]) -> pa.Table:
    content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    return pa.ipc.open_stream(pa.py_buffer(content)).read_all()


def _in_process(descriptor: Any, table: pa.Table | None) -> ArrowRows:
    return ArrowRows(os.fdopen(descriptor.detach(), "rb"), table)


def load_arrow_rows(path: Path, *, limit: int) -> ArrowRows:
    """The rows of a file, copied into a temporary one without a name, which is gone when nothing reads it.

    Args:
        limit: bytes of a row.

    Raises:
        ValueError: it is damaged, has no rows, too many columns, a row above the limit, or unfolds without end.
    """
    is_parquet = path.suffix.lower() == ".parquet"
    with path.open("rb") as stream:
        refuse_other_kind(stream.read(HEAD), kind="Parquet table" if is_parquet else "Arrow table")
    most = max(_ALWAYS_UNFOLDED, _LARGEST_RATIO * path.stat().st_size)
    try:
        # a page of Parquet and a batch of Arrow are unpacked whole, before any of their rows is seen
        if unpacked_size(path, is_parquet=is_parquet) > most:
            raise ValueError(_unfolds(path, most))
        schema, batches = _open_parquet(path) if is_parquet else _open_arrow(path)
        return _copied(schema, batches, path, limit=limit, most=most)
    except (pa.ArrowException, OSError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"it is not a whole {path.suffix} file ({reason}). Copy or write it again.") from error


def _open_parquet(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    file = parquet.ParquetFile(path, pre_buffer=False)
    return file.schema_arrow, file.iter_batches(batch_size=_BATCH)


def _open_arrow(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    source = pa.memory_map(str(path))
    try:
        stream = pa.ipc.open_stream(source)
    except pa.ArrowInvalid:
        file = pa.ipc.open_file(source)
        return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
    return stream.schema, iter(stream)


def _unfolds(path: Path, most: int) -> str:
    return f"it unfolds to more than {most:,} bytes from {path.stat().st_size:,}."


def _copied(schema: pa.Schema, batches: Iterator[pa.RecordBatch], path: Path, *, limit: int, most: int) -> ArrowRows:
    if len(schema.names) > MOST_COLUMNS:
        raise ValueError(f"it has {len(schema.names):,} columns, more than {MOST_COLUMNS}.")
    if repeated := sorted(name for name in schema.names if schema.names.count(name) > 1):
        raise ValueError(f"it has the column {repeated[0]!r} twice. Give each column a name of its own.")
    plain = _without_dictionaries(schema)
    rows = size = 0
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (the rows are read from it)
    with pa.ipc.new_stream(copy, plain) as writer:
        for batch in _in_parts(batches):
            batch = pa.table(batch).cast(plain).combine_chunks()
            _check_rows(batch, rows, limit)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if size > most:
                raise ValueError(_unfolds(path, most))
            writer.write_table(batch)
    if not rows:
        raise ValueError("it has no rows.")
    copy.flush()
    return ArrowRows(copy)


def _in_parts(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH):
            yield pa.Table.from_batches([batch.slice(start, _BATCH)])


def _without_dictionaries(schema: pa.Schema) -> pa.Schema:
    """Texts that are kept once and numbered, as categories of pandas, become texts."""
    for at, field in enumerate(schema):
        if pa.types.is_dictionary(field.type):
            schema = schema.set(at, field.with_type(field.type.value_type))
    return schema


def _check_rows(table: pa.Table, before: int, limit: int) -> None:
    if table.nbytes > limit:
        for at in range(table.num_rows):
            if table.slice(at, 1).nbytes > limit:
                raise ValueError(f"row {before + at + 1} has more than data.max_row_megabytes ({limit / 2**20:g}).")
