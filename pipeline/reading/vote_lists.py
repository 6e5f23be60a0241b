"""Votes of several annotators in one cell: a list, also as JSON or as Python prints it."""

from collections.abc import Sequence
from typing import Any

from pipeline.reading.written_messages import structure


def votes_in(value: Any, texts: Sequence[Any]) -> list[Any] | None:
    """The votes of a list; None of a single vote, which may be the text of a response that looks like a list.

    Args:
        value: of a winner.
        texts: both responses of the row.
    """
    if isinstance(value, list | tuple):
        return list(value)
    if not isinstance(value, str) or value in texts:
        return None
    found = structure(value)
    return found if isinstance(found, list) else None
