"""Rows that mean something only together: their texts are kept on the disk until the last row is read."""

import hashlib
import pickle
from array import array
from typing import Any

import numpy as np

from pipeline.scratch import ScratchFile


def text_key(*texts: str) -> int:
    """Texts as a number below 2^64: of a million texts two are confused once in ten million runs."""
    joined = "\x1f".join(texts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(joined).digest()[:8], "big")


class HeldRows:
    """Rows by number, in the order in which they were added; about 40 bytes of memory each."""

    def __init__(self, file: ScratchFile) -> None:
        self._file = file
        self._positions, self._keys, self._values = array("Q"), array("Q"), array("d")
        self._starts, self._sizes = array("Q"), array("Q")

    def add(self, position: int, key: int, value: float, content: Any) -> int:
        """Keep a row, and return its number.

        Args:
            position: its number in the source, from 1.
            key: the same for rows that belong together.
            value: what it says, as a number.
            content: goes to the disk.
        """
        written = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
        self._starts.append(self._file.append(written))
        self._sizes.append(len(written))
        self._positions.append(position)
        self._keys.append(key)
        self._values.append(value)
        return len(self._keys) - 1

    def content(self, number: int) -> Any:
        """The content that was given to `add`."""
        return pickle.loads(self._file.read(self._starts[number], self._sizes[number]))

    def position(self, number: int) -> int:
        """The number of a row in its source, from 1."""
        return self._positions[number]

    def key(self, number: int) -> int:
        """The key of a row."""
        return self._keys[number]

    @property
    def keys(self) -> np.ndarray:
        """(N,)."""
        return np.array(self._keys)

    @property
    def values(self) -> np.ndarray:
        """(N,)."""
        return np.array(self._values)

    def __len__(self) -> int:
        return len(self._keys)
