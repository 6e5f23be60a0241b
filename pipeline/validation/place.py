"""Where a pair comes from, for error messages."""

from pipeline.preferences.pair import RawPair


def place_of(row: RawPair) -> str:
    """The row and file that a given pair comes from, or the id of a pair that the pipeline made."""
    if origin := row.get("origin"):
        return f"row {', '.join(map(str, origin['rows'][:3]))} of {origin['file']}"
    return f"pair {row.get('id')}"
