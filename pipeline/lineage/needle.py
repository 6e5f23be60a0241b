"""A text that is looked for, whatever its case and white space, among many."""

import re
import sys
from functools import cache

from pipeline.data.records import fold

_PLAIN = re.compile(r"[0-9a-z]+")
_FIRST_OTHER = 128


class Needle:
    """To fold a long text takes a hundred times as long as to see that a word is not in it."""

    def __init__(self, text: str) -> None:
        self.folded = fold(text)
        self._word = max(_PLAIN.findall(self.folded), key=len, default="")
        """Every text with the needle in it has this word, or another letter that folds to a plain one."""

    def is_in(self, text: str) -> bool:
        """Whether a text contains it."""
        return not self._is_missing(text) and self.folded in fold(text)

    def may_be_in(self, line: str) -> bool:
        """Whether the texts of a line that `json.dumps` wrote may contain it; False is sure."""
        if self._word in line.lower():
            return True
        return ("\\u" in line and _folding().escaped.search(line) is not None) or not self._is_missing(line)

    def _is_missing(self, text: str) -> bool:
        if self._word in text.lower():
            return False
        return text.isascii() or _folding().letters.search(text) is None


class _Folding:
    """Letters beyond ASCII of which folding makes plain ones, such as the long s, or the ligature fi."""

    def __init__(self) -> None:
        others = map(chr, range(_FIRST_OTHER, sys.maxunicode + 1))
        found = [letter for letter in others if _PLAIN.search(fold(letter))]
        self.letters = re.compile(f"[{''.join(found)}]")
        self.escaped = re.compile("|".join(rf"\\u{ord(letter):04x}" for letter in found if ord(letter) < 0x10000))


@cache
def _folding() -> _Folding:
    return _Folding()
