"""Where a pair comes from, for messages."""

from pipeline.preferences.pair import RawPair


def place_of(row: RawPair) -> str:
    """The user's file and row, or the id where the pipeline made the pair."""
    if origin := row.get("origin"):
        return f"row {', '.join(map(str, origin['rows'][:3]))} of {origin['file']}"
    return f"pair {row.get('id')}"
