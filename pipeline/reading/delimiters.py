"""The delimiter of a table, and where its first record begins."""

import csv
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

from pipeline.reading.lines import read_lines

_DECLARED = re.compile(rb'"?sep=(.)"?[ \t]*[\r\n]*', re.IGNORECASE | re.DOTALL)
"""The line that Excel writes and reads above a table."""
_USUAL = (",", ";", "|")
_UNUSUAL = ("::", "||", ":", "^", "~", "\x01", "\x1f")
_NAME = re.compile(r"[^\W\d]\w*")
_RULE = re.compile(r"\s*\|?(\s*:?-{2,}:?\s*\|)+(\s*:?-{2,}:?)?\s*\|?\s*")
"""The line below the names of a table in Markdown."""
_READ = 50
"""Records that are looked at where a first line has several delimiters."""


def delimiter_of(stream: BinaryIO, start: int, limit: int) -> tuple[int, dict[str, Any]]:
    """Where the first record begins, and what `csv.reader` has to know.

    Excel's line `sep=;` says the delimiter and is no record. Else a file with tabs in its first line is tab separated,
    and unquoted if every line then has as many cells. Of commas, semicolons and bars, the only one of the first line
    counts; where it has several, the only one by which the first records all have as many cells, or else the comma.

    Args:
        start: the first byte behind a byte order mark.
        limit: bytes of a line.

    Raises:
        ValueError: it is a table of Markdown, or another sign than these separates its names.
    """
    line = next(read_lines(stream, start, limit=limit), None)
    first = (line.content or b"").decode("utf-8", "replace") if line else ""
    if line and (declared := _DECLARED.fullmatch(line.content or b"")):
        return line.start + line.size, _options(stream, line.start + line.size, limit, declared[1].decode("latin-1"))
    tabs = first.count("\t")
    if tabs and tabs >= first.count(","):
        return start, _options(stream, start, limit, "\t")
    found = [sign for sign in _USUAL if sign in first]
    if "|" in found:
        _refuse_markdown(stream, start, limit)
    if "||" in first or not found:
        _refuse_unusual(first)
    if len(found) > 1:
        found = [sign for sign in found if _is_even(stream, start, limit, sign)]
    return start, {"delimiter": found[0] if len(found) == 1 else ","}


def _options(stream: BinaryIO, start: int, limit: int, delimiter: str) -> dict[str, Any]:
    if delimiter != "\t":
        return {"delimiter": delimiter}
    counts = {line.count(b"\t") for line in _lines(stream, start, limit) if line.strip()}
    return {"delimiter": "\t", "quoting": csv.QUOTE_NONE if len(counts) < 2 else csv.QUOTE_MINIMAL}


def _lines(stream: BinaryIO, start: int, limit: int) -> Iterator[bytes]:
    return (line.content or b"" for line in read_lines(stream, start, limit=limit))


def _is_even(stream: BinaryIO, start: int, limit: int, delimiter: str) -> bool:
    """Whether all of the first records have as many cells, and more than one."""
    csv.field_size_limit(limit)
    lines = (line.decode("utf-8", "replace") for line in _lines(stream, start, limit))
    try:
        widths = {len(record) for record in islice(csv.reader(lines, delimiter=delimiter), _READ) if record}
    except csv.Error:
        return False
    return len(widths) == 1 and widths != {1}


def _refuse_markdown(stream: BinaryIO, start: int, limit: int) -> None:
    second = next(islice(_lines(stream, start, limit), 1, None), b"")
    if _RULE.fullmatch(second.decode("utf-8", "replace")):
        raise ValueError("it is a table of Markdown, by its second line. Write it as CSV or as JSON Lines.")


def _refuse_unusual(first: str) -> None:
    """Raise ValueError where the names of columns are separated by a sign that is not a supported delimiter."""
    for sign in _UNUSUAL:
        names = [name.strip().strip('"') for name in first.split(sign)]
        if len(names) > 1 and all(_NAME.fullmatch(name) for name in names):
            raise ValueError(
                f"its first line has {sign!r} between {', '.join(names)}, and cells are separated by commas, "
                f"semicolons, tabs or bars. {_advise(sign)}"
            )


def _advise(sign: str) -> str:
    if len(sign) > 1:
        return f"Write one of these in place of {sign!r}, or the rows as JSON Lines."
    if not sign.isprintable():
        return "Write one of these in its place, or the rows as JSON Lines."
    return f"If it separates them, say so in a line above, as with `sed -i '1i sep={sign}' FILE`."
