"""Where a pair comes from, for messages."""

from collections.abc import Mapping
from typing import Any


def place_of(row: Mapping[str, Any]) -> str:
    """The user's file and row, or the id where the pipeline made the pair."""
    if origin := row.get("origin"):
        return f"row {', '.join(map(str, origin['rows'][:3]))} of {origin['file']}"
    return f"pair {row.get('id')}"
