"""JSON that is read value by value, however long the file is."""

import json
import re
from typing import BinaryIO

_BLOCK = 2**20
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class JsonWindow:
    """A part of a file as text, in Latin-1: a character is a byte, and JSON's own signs are the same as in UTF-8."""

    def __init__(self, stream: BinaryIO, start: int, limit: int) -> None:
        stream.seek(start)
        self._stream, self._limit = stream, limit
        self._text, self._at, self._start, self._ended = "", 0, start, False

    @property
    def place(self) -> int:
        """Where the next character is in the file."""
        return self._start + self._at

    def next_sign(self) -> str:
        """The next character that is no space, which stays; none at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or not self._fill():
                return self._text[self._at : self._at + 1]

    def take(self, size: int) -> tuple[int, str]:
        """So many characters, and where the first is in the file."""
        begin = self._at
        self._at += size
        return self._start + begin, self._text[begin : self._at]

    def take_value(self, number: int) -> tuple[int, str]:
        """The next value, `number` being those before it."""
        while True:
            try:
                _, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise ValueError(f"row {number + 1} is nested too deeply.") from None
            except ValueError:
                end = None
            # a number may go on behind the window
            if end is not None and (end < len(self._text) or self._ended):
                return self.take(end - self._at)
            if len(self._text) - self._at > self._limit:
                raise ValueError(
                    f"the JSON of row {number + 1} is broken, or it has more than data.max_row_megabytes "
                    f"({self._limit / 2**20:g})."
                )
            if not self._fill() and end is None:
                raise ValueError(f"its JSON is broken or cut short behind row {number}.")

    def _fill(self) -> bool:
        """Read on; what was taken goes. Whether there was more."""
        kept = self._text[self._at :]
        block = self._stream.read(max(_BLOCK, len(kept))).decode("latin-1")
        self._start, self._at, self._text, self._ended = self._start + self._at, 0, kept + block, not block
        return bool(block)
