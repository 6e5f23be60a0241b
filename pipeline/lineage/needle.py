"""A text that is looked for, whatever its case and white space, among many."""

import re
import sys
from functools import cache

from pipeline.data.records import fold

_PLAIN = re.compile(r"[0-9a-z]+")
_FIRST_OTHER = 128
_FIRST_PAIR = 0x10000
"""From here on JSON escapes a letter as two."""


class Needle:
    """To fold a long text takes a hundred times as long as to see that one of the words is not in it."""

    def __init__(self, text: str) -> None:
        self.folded = fold(text)
        self._words = sorted(set(_PLAIN.findall(self.folded)), key=len, reverse=True)
        """Every text with the needle in it has these words, or another letter that folds to a plain one."""

    def is_in(self, text: str) -> bool:
        """Whether a text contains it."""
        return not self._is_missing(text) and self.folded in fold(text)

    def may_be_in(self, line: str) -> bool:
        """Whether the texts of a line that `json.dumps` wrote may contain it; False is sure."""
        if self._has_words(line):
            return True
        return ("\\u" in line and _folding().escaped.search(line) is not None) or not self._is_missing(line)

    def _is_missing(self, text: str) -> bool:
        return not self._has_words(text) and (text.isascii() or _folding().letters.search(text) is None)

    def _has_words(self, text: str) -> bool:
        lower = text.lower()
        return all(word in lower for word in self._words)


class _Folding:
    """Letters beyond ASCII of which folding makes plain ones, such as the long s, or the ligature fi."""

    def __init__(self) -> None:
        others = map(chr, range(_FIRST_OTHER, sys.maxunicode + 1))
        found = [letter for letter in others if _PLAIN.search(fold(letter))]
        self.letters = re.compile(f"[{''.join(found)}]")
        codes = "|".join(f"{ord(letter):04x}" for letter in found if ord(letter) < _FIRST_PAIR)
        self.escaped = re.compile(rf"\\u(?:{codes})")


@cache
def _folding() -> _Folding:
    return _Folding()
