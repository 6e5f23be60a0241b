"""Lines of a file, with any line ending and of any length."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file."""

    start: int
    """Offset of the first byte of the line."""
    size: int
    """Bytes, with those that end it."""
    content: bytes | None
    """The bytes of the line, with those that end it; None where they are more than the limit."""


def read_lines(stream: BinaryIO, start: int, *, limit: int) -> Iterator[Line]:
    r"""Lines from byte `start` on, which end with \n, \r\n or \r; of one above `limit` bytes the size only."""
    stream.seek(start)
    rest, skipped = b"", 0
    while block := stream.read(_BLOCK):
        lines = (rest + block).splitlines(keepends=True)
        # a \r may have its \n in the next block
        rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        for content in lines:
            size = skipped + len(content)
            yield Line(start, size, content if size <= limit else None)
            start, skipped = start + size, 0
        if skipped + len(rest) > limit:
            rest, skipped = b"", skipped + len(rest)
    if rest.endswith(b"\r") or (rest and not skipped):
        yield Line(start, len(rest), rest)
    elif rest or skipped:
        yield Line(start, skipped + len(rest), None)
