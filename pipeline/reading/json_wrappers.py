"""JSON whose top is one object around the rows, or around the columns of a table."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.reading.commands import as_json_lines, python_command
from pipeline.reading.json_window import JsonWindow

_ROWS = frozenset(
    {
        *("data", "rows", "examples", "records", "items", "instances", "samples", "entries", "pairs", "preferences"),
        *("comparisons", "dataset"),
    }
)
"""Keys that hold the rows where others stand beside them."""
_SPLITS = frozenset(
    ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation", "holdout")
)
_OF_MESSAGES = frozenset({"role", "from"})
_ONE_TEXT = frozenset({"prompt", "instruction", "question", "query", "text", "input"})
"""Keys that hold a text, or a chat, in a row: with a list of texts they are columns."""
_MOST_KEYS = 1000


@dataclass(frozen=True)
class WrappedRows:
    """The array of rows inside an object."""

    start: int
    """Offset of the first byte of the array."""
    note: str
    """What stands beside it and is not read."""


@dataclass
class _Value:
    """What stands under a key of the object, as far as it has to be known."""

    start: int
    kind: str
    """[, { or another first character."""
    count: int = 0
    """How many elements or keys it has."""
    first: Any = None
    """The first element."""
    keys: list[str] = field(default_factory=list)
    """The first of an object."""
    is_rows: bool = True
    """All elements are objects."""

    @property
    def holds_rows(self) -> bool:
        """It is a list of objects that are no messages."""
        return self.kind == "[" and self.count > 0 and self.is_rows and not _OF_MESSAGES & set(self.first)


def find_rows(stream: BinaryIO, start: int, limit: int, *, split: str | None, path: Path) -> WrappedRows | None:
    """Where the rows of a file are that is one object around them; None of any other file.

    Rows are the only list of objects under a key that is alone, or called `data`, `rows` or the like; or of several
    splits the one that is asked for.

    Args:
        start: the first byte behind a byte order mark.
        limit: bytes of a value.
        split: `data.split`; None asks for none.

    Raises:
        ValueError: it holds columns, or splits without the one that is asked for, with how to write its rows.
    """
    try:
        values = _values(JsonWindow(stream, start, limit))
    except ValueError:
        return None  # as rows it is refused with the place
    if not values:
        return None
    _refuse_columns(values, path)
    found = [key for key, value in values.items() if value.holds_rows]
    lists = [key for key, value in values.items() if value.kind == "["]
    if len(found) > 1 and all(key.casefold() in _SPLITS or len(lists) == len(values) for key in lists):
        return _of_split(values, found, split, path)
    if len(found) == 1 and (len(values) == 1 or {found[0].casefold()} & (_ROWS | _SPLITS)):
        return _rows_under(found[0], values)
    return None


def _of_split(values: Mapping[str, _Value], found: list[str], split: str | None, path: Path) -> WrappedRows:
    if split in found:
        return _rows_under(split, values)
    counts = ", ".join(f"{key} ({values[key].count:,})" for key in found)
    asked = "" if split is None else f"Set data.split to one of them (it is {split!r}), or write "
    code = (
        f"import json; rows = json.load(open({str(path)!r})); print(*map(json.dumps, rows[{found[0]!r}]), sep=chr(10))"
    )
    raise ValueError(
        f"it has lists of rows under {counts}. {asked or 'Write '}each into a file of its own, as with "
        f"`{python_command(code)} > {shlex.quote(f'{found[0]}.jsonl')}`."
    )


def _rows_under(key: str, values: Mapping[str, _Value]) -> WrappedRows:
    others = [
        f"{name} ({value.count:,} rows)" if value.holds_rows else name for name, value in values.items() if name != key
    ]
    note = (
        f"of its object {key} is read ({values[key].count:,} rows), and nothing of {', '.join(others)}"
        if others
        else ""
    )
    return WrappedRows(values[key].start, f"{note}." if note else "")


def _refuse_columns(values: Mapping[str, _Value], path: Path) -> None:
    """Raise ValueError for what pandas and others write column by column, or row by row under a number."""
    kinds = {value.kind for value in values.values()}
    inner = [value.keys for value in values.values()]
    same = kinds == {"{"} and len({tuple(keys) for keys in inner}) == 1 and not _OF_MESSAGES & set(inner[0])
    if same and inner[0] and all(key.isdigit() for key in inner[0]):
        raise ValueError(_advise("columns, each with its values by the number of the row", "columns", path))
    if same and len(values) > 1 and all(key.isdigit() for key in values):
        raise ValueError(_advise("rows under their numbers", "index", path))
    if {"columns", "data"} <= values.keys() <= {"columns", "index", "data"} and isinstance(values["data"].first, list):
        raise ValueError(_advise("names of columns, and rows without names", "split", path))
    texts = [key for key in _ONE_TEXT & values.keys() if isinstance(values[key].first, str)]
    if kinds == {"["} and len(values) > 1 and texts and len({value.count for value in values.values()}) == 1:
        raise ValueError(_advise("a list for each column", "columns", path))
    if {"features", "rows"} <= values.keys() and "row" in (values["rows"].first or {}):
        code = (
            f"import json; rows = json.load(open({str(path)!r}))['rows']; "
            "print(*(json.dumps(one['row']) for one in rows), sep=chr(10))"
        )
        raise ValueError(
            "it is an answer of the viewer of Hugging Face, which has a part of the rows. Name the data set as "
            f"hub:OWNER/NAME, or write these by `{python_command(code)} > rows.jsonl`."
        )


def _advise(what: str, orient: str, path: Path) -> str:
    code = (
        f"import pandas; pandas.read_json({str(path)!r}, orient={orient!r}, dtype=False, convert_dates=False)"
        f".to_json({as_json_lines(path)!r}, orient='records', lines=True, double_precision=15)"
    )
    return (
        f'it holds {what} (orient={orient!r} of pandas), not rows. Write it by df.to_json(path, orient="records", '
        f"lines=True), or anew by `{python_command(code)}`, and put the new file in the place of the old one."
    )


def _values(window: JsonWindow) -> dict[str, _Value]:
    """The values of the only object of a file; none where the file is not one object.

    Raises:
        ValueError: it is broken, or has a value above the limit.
    """
    found: dict[str, _Value] = {}
    if window.next_sign() != "{":
        return found
    for key in _keys(window):
        if key in found or len(found) > _MOST_KEYS:
            return {}
        found[key] = _value(window)
    return {} if window.next_sign() else found


def _value(window: JsonWindow) -> _Value:
    sign = window.next_sign()
    value = _Value(window.place, sign)
    if sign == "[":
        window.take(1)
        while (sign := window.next_sign()) and sign != "]":
            if sign == ",":
                window.take(1)
                sign = window.next_sign()
            _, text = window.take_value(value.count)
            value.is_rows = value.is_rows and sign == "{"
            value.first = json.loads(text) if value.count == 0 else value.first
            value.count += 1
        window.take(1)
    elif sign == "{":
        for key in _keys(window):
            window.next_sign()
            window.take_value(value.count)
            value.keys += [key] if value.count < _MOST_KEYS else []
            value.count += 1
    else:
        window.take_value(0)
    return value


def _keys(window: JsonWindow) -> Iterator[str]:
    """The keys of an object; whoever asks has read the value when asking for the next."""
    window.take(1)
    while (sign := window.next_sign()) != "}":
        if sign == ",":
            window.take(1)
            window.next_sign()
        _, text = window.take_value(0)
        key = json.loads(text.encode("latin-1"))
        if not isinstance(key, str) or window.next_sign() != ":":
            raise ValueError("this is no object")
        window.take(1)
        yield key
    window.take(1)
