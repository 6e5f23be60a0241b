"""How large the data of a Parquet or Arrow file is unpacked, by what the file says itself, before it is unpacked."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from pipeline.reading.parquet_pages import page_sizes

_FILE_MARK = b"ARROW1\0\0"
"""An Arrow file is a stream behind it, and a table of its parts behind that."""
_DICTIONARY, _RECORDS = 2, 3
"""Types of messages with data (Arrow columnar format, Message.fbs)."""


def unpacked_size(path: Path, *, is_parquet: bool) -> int:
    """Bytes of all pages or batches; what dictionaries unfold to is not among them.

    Raises:
        ArrowException, OSError: the file is damaged.
    """
    if is_parquet:
        try:
            return sum(page_sizes(path, parquet.read_metadata(path)))
        except ValueError as error:
            raise pa.ArrowInvalid(str(error)) from error
    with pa.memory_map(str(path)) as source:
        if source.read(len(_FILE_MARK)) != _FILE_MARK:
            source.seek(0)
        return sum(_message_sizes(source))


def _message_sizes(source: pa.NativeFile) -> Iterator[int]:
    reader = pa.ipc.MessageReader.open_stream(source)
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        if message.type not in ("dictionary", "record batch"):
            continue
        try:
            yield _batch_size(memoryview(message.metadata), memoryview(message.body or b""))
        except (struct.error, IndexError) as error:
            raise pa.ArrowInvalid(f"a message is damaged: {error}") from error


def _batch_size(metadata: memoryview, body: memoryview) -> int:
    """A compressed buffer begins with its size unpacked, or -1 where it is not compressed after all."""
    root = _follow(metadata, 0)
    kind, header = _field(metadata, root, 1), _field(metadata, root, 2)
    if header is None or kind is None or metadata[kind] not in (_DICTIONARY, _RECORDS):
        return len(body)
    batch = _follow(metadata, header)
    if metadata[kind] == _DICTIONARY:
        data = _field(metadata, batch, 1)
        batch = batch if data is None else _follow(metadata, data)
    buffers = _field(metadata, batch, 2)
    if buffers is None or _field(metadata, batch, 3) is None:  # not compressed
        return len(body)
    first = _follow(metadata, buffers)
    size = 0
    for number in range(_number("<I", metadata, first)):
        offset, length = struct.unpack_from("<qq", metadata, first + 4 + 16 * number)
        if length >= 8:
            size += max(_number("<q", body, offset), length)
    return size


def _number(form: str, data: memoryview, at: int) -> int:
    return int(struct.unpack_from(form, data, at)[0])


def _follow(data: memoryview, at: int) -> int:
    """Flatbuffers: an offset leads to a table or vector."""
    return at + _number("<I", data, at)


def _field(data: memoryview, table: int, number: int) -> int | None:
    """Flatbuffers: where a field of a table is; None where it has its default."""
    layout = table - _number("<i", data, table)
    size = _number("<H", data, layout)
    at = 4 + 2 * number
    offset = _number("<H", data, layout + at) if at < size else 0
    return table + offset if offset else None
