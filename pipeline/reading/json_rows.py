"""Rows of JSON: one object on each line, an array of objects, also inside an object, or objects in a row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.reading.encodings import skip_mark
from pipeline.reading.foreign_encodings import note_encoding
from pipeline.reading.json_window import JsonWindow
from pipeline.reading.json_wrappers import find_rows
from pipeline.reading.lines import read_lines
from pipeline.reading.reasons import advise_reason
from pipeline.reading.rows import LONGEST_NAME, MOST_COLUMNS, NOT_UTF8, SpanRows, Unparsable
from pipeline.reading.unpacking import open_unpacked


def load_json_rows(path: Path, *, limit: int, split: str | None = None) -> SpanRows:
    """The rows of a file; a line that holds no object becomes a row that says why.

    Args:
        limit: bytes of a row.
        split: the key of the rows that are read of an object with several splits; None reads no such file.

    Raises:
        ValueError: it is not UTF-8, an array is broken or has a row above the limit, it holds columns and no rows, or
            splits and not the named one, or no row can be read.
    """
    stream = open_unpacked(path)
    rows = SpanRows(stream, _parse)
    start = skip_mark(stream, path)
    names: dict[str, None] = {}
    if JsonWindow(stream, start, limit).next_sign() == "[":
        _add_values(rows, names, stream, start, in_array=True, limit=limit)
    elif wrapped := find_rows(stream, start, limit, split=split, path=path):
        _add_values(rows, names, stream, wrapped.start, in_array=True, limit=limit, ends_file=False)
        rows.notes += filter(None, [wrapped.note])
    elif _spans_lines(stream, start, limit):
        _add_values(rows, names, stream, start, in_array=False, limit=limit)
    else:
        for line in read_lines(stream, start, limit=limit):
            if line.content is None or line.content.strip():
                _add(rows, names, line.start, line.size, line.content)
    rows.column_names = list(names)
    rows.notes += filter(None, [note_encoding(rows, path)])
    if not names:
        advice = "; ".join(map(advise_reason, rows.reasons()))
        raise ValueError(f"no row can be read ({', '.join(rows.reasons()) or 'it has none'}). {advice}".rstrip())
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
    rows: SpanRows,
    names: dict[str, None],
    stream: BinaryIO,
    start: int,
    *,
    in_array: bool,
    limit: int,
    ends_file: bool = True,
) -> None:
    for begin, text in _spans(stream, start, in_array=in_array, limit=limit, ends_file=ends_file):
        content = text.encode("latin-1")
        _add(rows, names, begin, len(content), content)


def _spans(
    stream: BinaryIO, start: int, *, in_array: bool, limit: int, ends_file: bool = True
) -> Iterator[tuple[int, str]]:
    """First byte and text, as Latin-1, of each value.

    Args:
        ends_file: nothing may stand behind the array.

    Raises:
        ValueError: naming the row behind which the JSON is broken, cut short, or above the limit.
    """
    window, number = JsonWindow(stream, start, limit), 0
    if in_array:
        window.next_sign()
        window.take(1)
    while sign := window.next_sign():
        if in_array and sign == "]":
            window.take(1)
            if ends_file and window.next_sign():
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
