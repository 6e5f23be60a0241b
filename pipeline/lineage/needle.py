"""A text that is looked for, whatever its case and white space, among many."""

import re

from pipeline.data.records import fold

_PLAIN = re.compile(r"[0-9a-z]+")


class Needle:
    """To fold a long text takes a hundred times as long as to see that a word is not in it."""

    def __init__(self, text: str) -> None:
        self.folded = fold(text)
        self._word = max(_PLAIN.findall(self.folded), key=len, default="")
        """Every plain text with the needle in it has this word, however it is written down."""

    def is_in(self, text: str) -> bool:
        """Whether a text contains it."""
        return not self._is_missing(text) and self.folded in fold(text)

    def may_be_in(self, line: str) -> bool:
        """Whether the texts of a line of JSON may contain it; False is sure."""
        return "\\u" in line or not self._is_missing(line)

    def _is_missing(self, text: str) -> bool:
        # other letters may fold to plain ones
        return text.isascii() and self._word not in text.lower()
