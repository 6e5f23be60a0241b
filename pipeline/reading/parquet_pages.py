"""Sizes of the pages of a Parquet file by their own headers: what its footer says of them may be forged.

A page is unpacked into as many bytes as its header says. Headers are Thrift structures in the compact protocol
(parquet.thrift, PageHeader; Thrift's specification of the compact protocol).
"""

import os
from collections.abc import Iterator
from pathlib import Path

from pyarrow import parquet

_HEADER, _LONGEST_HEADER = 2**12, 2**24
"""Bytes that are read at first, and where a header with long statistics goes on; readers of Parquet take no more."""
_UNPACKED, _PACKED = 2, 3
"""Fields of PageHeader with the bytes of its page."""
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_DEEPEST = 8
_BITS = 63
_DAMAGED = "the header of a page is damaged"


def page_sizes(path: Path, metadata: parquet.FileMetaData) -> Iterator[int]:
    """Bytes of each page unpacked, without unpacking any.

    Args:
        path: of the file.
        metadata: its footer, which says where the pages of a column are.

    Raises:
        ValueError: a page is damaged, or there is none where the footer says so.
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        for group in groups:
            for number in range(metadata.num_columns if group.num_rows else 0):
                column = group.column(number)
                start = column.data_page_offset
                if column.has_dictionary_page and column.dictionary_page_offset:
                    start = min(start, column.dictionary_page_offset)
                yield from _pages(stream.fileno(), start, start + column.total_compressed_size)


def _pages(file: int, start: int, end: int) -> Iterator[int]:
    while start < end:
        try:
            header = _Header(os.pread(file, _HEADER, start))
        except ValueError:
            header = _Header(os.pread(file, _LONGEST_HEADER, start))
        yield header.unpacked
        start += header.length + header.packed


class _Header:
    """What a page says of itself."""

    def __init__(self, content: bytes) -> None:
        reader = _Reader(content)
        fields = reader.struct()
        self.unpacked, self.packed, self.length = fields.get(_UNPACKED, -1), fields.get(_PACKED, -1), reader.at
        if self.unpacked < 0 or self.packed < 0:
            raise ValueError(_DAMAGED)


class _Reader:
    """The compact protocol, as far as headers of pages use it."""

    def __init__(self, content: bytes) -> None:
        self._content, self.at = content, 0

    def struct(self, depth: int = 0) -> dict[int, int]:
        """The integers among the fields of a structure, by their number; what else it has is passed over."""
        found: dict[int, int] = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._integer()
            value = self._value(head & 15, depth)
            if value is not None:
                found[number] = value
        return found

    def _value(self, kind: int, depth: int) -> int | None:
        if kind in _INTEGERS:
            return self._integer()
        if kind == _STRUCT and depth < _DEEPEST:
            self.struct(depth + 1)
        elif kind in (_LIST, _SET) and depth < _DEEPEST:
            head = self._byte()
            for _ in range(self._varint() if head >> 4 == 15 else head >> 4):
                # a truth value takes a byte in a list, and none as a field
                self._value(_BYTE if head & 15 in (_TRUE, _FALSE) else head & 15, depth + 1)
        elif kind in (_BYTE, _DOUBLE):
            self._skip(1 if kind == _BYTE else 8)
        elif kind == _BINARY:
            self._skip(self._varint())
        elif kind not in (_TRUE, _FALSE):
            raise ValueError(_DAMAGED)
        return None

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._content):
            raise ValueError(_DAMAGED)

    def _byte(self) -> int:
        self._skip(1)
        return self._content[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > _BITS:
                raise ValueError(_DAMAGED)

    def _integer(self) -> int:
        """Zigzag: small numbers of both signs are short."""
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
