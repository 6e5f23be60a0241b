"""Rows as examples on a page: a few, and shortened."""

EXAMPLES = 3
_SHOWN = 300


def shorten(text: str) -> str:
    """Text that a page can show: its beginning, lone surrogates escaped."""
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
    return cut.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
