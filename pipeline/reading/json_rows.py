"""JSON: an object a line, an array of objects, or objects one after another."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.reading.encodings import skip_mark
from pipeline.reading.foreign_encodings import note_encoding
from pipeline.reading.lines import read_lines
from pipeline.reading.rows import LONGEST_NAME, MOST_COLUMNS, NOT_UTF8, SpanRows, Unparsable
from pipeline.reading.unpacking import open_unpacked

_BLOCK = 2**20
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def load_json_rows(path: Path, *, limit: int) -> SpanRows:
    """The rows of a file; a line that holds no object becomes a row that says why.

    Args:
        limit: bytes of a row.

    Raises:
        ValueError: it is no UTF-8, an array is broken or has a row above the limit, or no row can be read.
    """
    stream = open_unpacked(path)
    rows = SpanRows(stream, _parse)
    start = skip_mark(stream, path)
    names: dict[str, None] = {}
    if _Window(stream, start, limit).next_sign() == "[":
        _add_values(rows, names, stream, start, in_array=True, limit=limit)
    elif _spans_lines(stream, start, limit):
        _add_values(rows, names, stream, start, in_array=False, limit=limit)
    else:
        for line in read_lines(stream, start, limit=limit):
            if line.content is None or line.content.strip():
                _add(rows, names, line.start, line.size, line.content)
    rows.column_names = list(names)
    rows.notes += filter(None, [note_encoding(rows, path)])
    if not names:
        raise ValueError(f"no row can be read ({', '.join(rows.reasons()) or 'it has none'}).")
    return rows


def _add(rows: SpanRows, names: dict[str, None], start: int, size: int, content: bytes | None) -> None:
    try:
        if content is None:
            raise Unparsable("row_too_large")
        names |= dict.fromkeys(_parse(content))
    except Unparsable as reason:
        rows.append(start, size, broken=str(reason))
        return
    if len(names) > MOST_COLUMNS:
        raise ValueError(f"its first {len(rows) + 1} rows have more than {MOST_COLUMNS} different keys.")
    rows.append(start, size)


def _parse(content: bytes) -> dict[str, Any]:
    try:
        value = _ROW_DECODER.decode(content.decode("utf-8").strip("\ufeff"))
    except UnicodeDecodeError:
        raise Unparsable(NOT_UTF8) from None
    except RecursionError:
        raise Unparsable("nested_too_deeply") from None
    except ValueError:
        raise Unparsable("malformed_json") from None
    if not isinstance(value, dict):
        raise Unparsable("not_an_object")
    if len(value) > MOST_COLUMNS or any(len(name) > LONGEST_NAME for name in value):
        raise Unparsable("keys_too_many_or_long")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unparsable("repeated_key")
    return found


_ROW_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _spans_lines(stream: BinaryIO, start: int, limit: int) -> bool:
    """Whether the first object is written over several lines."""
    lines = (line.content or b"{" for line in read_lines(stream, start, limit=limit))
    first = next((line for line in lines if line.strip()), b"")
    try:
        json.loads(first.decode("latin-1"))
    except (ValueError, RecursionError):
        try:
            _, text = next(_spans(stream, start, in_array=False, limit=limit))
        except (ValueError, StopIteration):
            return False
        return text.startswith("{") and "\n" in text
    return False


def _add_values(
    rows: SpanRows, names: dict[str, None], stream: BinaryIO, start: int, *, in_array: bool, limit: int
) -> None:
    for begin, text in _spans(stream, start, in_array=in_array, limit=limit):
        content = text.encode("latin-1")
        _add(rows, names, begin, len(content), content)


def _spans(stream: BinaryIO, start: int, *, in_array: bool, limit: int) -> Iterator[tuple[int, str]]:
    """First byte and text, as Latin-1, of each value.

    Raises:
        ValueError: naming the row behind which the JSON is broken, cut short, or above the limit.
    """
    window, number = _Window(stream, start, limit), 0
    if in_array:
        window.next_sign()
        window.take(1)
    while sign := window.next_sign():
        if in_array and sign == "]":
            window.take(1)
            if window.next_sign():
                raise ValueError("there is something behind its array.")
            return
        if in_array and number:
            if sign != ",":
                raise ValueError(f"its array is broken behind row {number}.")
            window.take(1)
            window.next_sign()
        yield window.take_value(number)
        number += 1
    if in_array:
        raise ValueError(f"its array is cut short behind row {number}.")


class _Window:
    """A part of a file as text, in Latin-1: a character is a byte, and JSON's own signs are the same as in UTF-8."""

    def __init__(self, stream: BinaryIO, start: int, limit: int) -> None:
        stream.seek(start)
        self._stream, self._limit = stream, limit
        self._text, self._at, self._start, self._ended = "", 0, start, False

    def next_sign(self) -> str:
        """The next character that is no space, which stays; none at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or not self._fill():
                return self._text[self._at : self._at + 1]

    def take(self, size: int) -> tuple[int, str]:
        """So many characters, and where the first is in the file."""
        begin = self._at
        self._at += size
        return self._start + begin, self._text[begin : self._at]

    def take_value(self, number: int) -> tuple[int, str]:
        """The next value, `number` being those before it."""
        while True:
            try:
                _, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise ValueError(f"row {number + 1} is nested too deeply.") from None
            except ValueError:
                end = None
            # a number may go on behind the window
            if end is not None and (end < len(self._text) or self._ended):
                return self.take(end - self._at)
            if len(self._text) - self._at > self._limit:
                raise ValueError(
                    f"the JSON of row {number + 1} is broken, or it has more than data.max_row_megabytes "
                    f"({self._limit / 2**20:g})."
                )
            if not self._fill() and end is None:
                raise ValueError(f"its JSON is broken or cut short behind row {number}.")

    def _fill(self) -> bool:
        """Read on; what was taken goes. Whether there was more."""
        kept = self._text[self._at :]
        block = self._stream.read(max(_BLOCK, len(kept))).decode("latin-1")
        self._start, self._at, self._text, self._ended = self._start + self._at, 0, kept + block, not block
        return bool(block)
