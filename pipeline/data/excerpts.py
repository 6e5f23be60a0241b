"""Rows as examples on a page: a few, and shortened."""

EXAMPLES = 3
_SHOWN = 300


def shorten(text: str, shown: int = _SHOWN) -> str:
    """Text that a page can show: its first characters, lone surrogates escaped."""
    cut = text if len(text) <= shown else f"{text[:shown]} …"
    return cut.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
