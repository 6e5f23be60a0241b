"""The category of a row's prompt, a short text by which results are broken down. No model reads it."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pipeline.excerpts import shorten
from pipeline.reading.rows import Row

EVERYTHING = "all"
"""The category of a row that states none."""
JOINED = " / "
_LONGEST = 80
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?|true|false", re.IGNORECASE)
VERDICTS = ("winner", "label", "score", "scores", "rank")
"""Fields that say which response is better: a verdict on a pair is not a category of its prompt."""


def category_of(row: Row, columns: Sequence[str]) -> str:
    """The values of these columns of a raw row, joined by ` / `.

    A number or a boolean, also as the text of a table, reads `column=value`; so does a missing one, as `column=none`.
    Runs of white space are one space, and what is longer than 80 characters is cut: a category is a name.
    """
    return JOINED.join(_name(column, row.get(column)) for column in columns)


def _name(column: str, value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str):
        value = "none" if value is None else json.dumps(value, sort_keys=True, default=str)
        # a list or a mapping is a name of its own
        return _short(value if value[:1] in "[{" else f"{column}={value}")
    text = " ".join(value.split())
    if not text or _NUMBER.fullmatch(text):
        return _short(f"{column}={text or 'none'}")
    return _short(text)


def _short(text: str) -> str:
    return shorten(text, _LONGEST)


def default_category(name: str, names: Sequence[str]) -> str:
    """The category of the rows of a source without a column for it.

    Args:
        name: of the source.
        names: of all sources. Files whose names differ in numbers only are parts of one data set.

    Returns:
        The name, or `all` where there is one data set.
    """
    return name if len({re.sub(r"\d+", "", one) for one in names}) > 1 else EVERYTHING
