"""Texts of any length as people are shown them: the first few, each cut where it is too long."""

EXAMPLES = 3
"""Rows that are shown of each kind."""
_SHOWN = 300
_CUT = "…"


def shorten(text: str, shown: int = _SHOWN) -> str:
    """A text of at most `shown` characters, the last of them `…` where it was longer.

    Lone surrogates and NULs, which no file of text can hold, are written as escapes; white space stays as it is.
    """
    # of megabytes only what can be shown is looked at
    clean = text[: shown + 1].encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    return clean if len(clean) <= shown else f"{clean[: shown - 1]}{_CUT}"
