"""Values of a row: of JSON as they are, of a table as texts that say the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.reading.chats import Unreadable
from pipeline.reading.responses import read_number
from pipeline.reading.rows import Row
from pipeline.reading.written_messages import refuse_written_messages, structure


def entries(value: Any, *, reason: str) -> list[Row]:
    """A list of objects.

    Raises:
        Unreadable: it is something else.
    """
    found = structure(value)
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise Unreadable(reason, value)
    if not all(isinstance(entry, Mapping) for entry in found):
        raise Unreadable(reason, value)
    return list(found)


def text(value: Any) -> str:
    """A text that says something.

    Raises:
        Unreadable: it is none.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise Unreadable("empty_text", value)
    if not isinstance(value, str):
        raise Unreadable("text_is_no_string", value)
    refuse_written_messages(value)
    return value


def first_of(row: Row, *names: str) -> Any:
    """The value of the first of these columns that says something."""
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def first_pair(row: Row, pairs: Sequence[tuple[str, str]]) -> tuple[Any, Any]:
    """The values of the first two columns that both say something: a preference is never read from two namings.

    Raises:
        Unreadable: there are none.
    """
    for names in pairs:
        chosen, rejected = (row.get(name) for name in names)
        if chosen not in (None, "") and rejected not in (None, ""):
            return chosen, rejected
    raise Unreadable("empty_text", {name: row[name] for names in pairs for name in names if name in row})


def whole(value: Any, allowed: Sequence[int]) -> int:
    """One of the whole numbers that a coding has, also as the text of a table; no truth value.

    Raises:
        Unreadable: the coding does not have it, or it is missing.
    """
    if value is None or value == "":
        raise Unreadable("no_winner", value)
    try:
        number = None if isinstance(value, bool) else read_number(value)
    except Unreadable:
        number = None
    if number is None or number not in allowed:
        raise Unreadable("not_in_the_coding", value)
    return int(number)


def number(value: Any) -> float | None:
    """A finite number, also as the text of a table; None where there is none.

    Raises:
        Unreadable: it is something else.
    """
    return None if value is None or value == "" else read_number(value)
