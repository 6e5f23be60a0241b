"""Parquet and Arrow files as a memory-mapped data set, read a few rows at a time whatever they unfold to."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from datasets import Dataset
from pyarrow import parquet

from pipeline.reading.arrow_sizes import unpacked_size
from pipeline.reading.rows import MOST_COLUMNS
from pipeline.reading.signatures import HEAD, refuse_other_kind

_BATCH = 256
"""Rows that are in memory at once; a dictionary of parquet may repeat one long text in each."""
_ALWAYS_UNFOLDED = 2**28
"""Bytes; a larger table may have at most _LARGEST_RATIO times the size of its file."""
_LARGEST_RATIO = 100


def load_arrow_rows(path: Path, *, limit: int) -> Dataset:
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
        raise ValueError(f"it is no whole {path.suffix} file ({reason}). Copy or write it again.") from error


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


def _copied(schema: pa.Schema, batches: Iterator[pa.RecordBatch], path: Path, *, limit: int, most: int) -> Dataset:
    if len(schema.names) > MOST_COLUMNS:
        raise ValueError(f"it has {len(schema.names):,} columns, more than {MOST_COLUMNS}.")
    if repeated := sorted(name for name in schema.names if schema.names.count(name) > 1):
        raise ValueError(f"it has the column {repeated[0]!r} twice. Give each column a name of its own.")
    plain = _without_dictionaries(schema)
    rows = size = 0
    with tempfile.NamedTemporaryFile(suffix=".arrow") as copy:
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
        return Dataset.from_file(copy.name)


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
