"""Searches many texts for one, ignoring case and differences of white space."""

import re
import sys
from functools import cache

from pipeline.data.records import fold

_PLAIN = re.compile(r"[0-9a-z]+")
_FIRST_OTHER = 128
_FIRST_PAIR = 0x10000
"""From this code point on JSON escapes a letter as a pair of escapes."""


class Needle:
    """The text to find. Its words are looked for first: folding a long text takes a hundred times as long."""

    def __init__(self, text: str) -> None:
        self.folded = fold(text)
        self._words = sorted(set(_PLAIN.findall(self.folded)), key=len, reverse=True)
        """A text with the needle in it has all these words, or a letter beyond ASCII that folds to a plain one."""

    def is_in(self, text: str) -> bool:
        """Whether a text contains it."""
        return not self._is_missing(text) and self.folded in fold(text)

    def may_be_in(self, line: str) -> bool:
        """Whether the texts in a line that `json.dumps` wrote may contain it; False is certain, True is not."""
        if self._has_words(line):
            return True
        return ("\\u" in line and _folding().escaped.search(line) is not None) or not self._is_missing(line)

    def _is_missing(self, text: str) -> bool:
        return not self._has_words(text) and (text.isascii() or _folding().letters.search(text) is None)

    def _has_words(self, text: str) -> bool:
        lower = text.lower()
        return all(word in lower for word in self._words)


class _Folding:
    """Patterns of the letters beyond ASCII that fold to plain ones, such as the long s or the ligature fi."""

    def __init__(self) -> None:
        others = map(chr, range(_FIRST_OTHER, sys.maxunicode + 1))
        letters = [letter for letter in others if _PLAIN.search(fold(letter))]
        self.letters = re.compile(f"[{''.join(letters)}]")
        codes = "|".join(f"{ord(letter):04x}" for letter in letters if ord(letter) < _FIRST_PAIR)
        self.escaped = re.compile(rf"\\u(?:{codes})")


@cache
def _folding() -> _Folding:
    return _Folding()
