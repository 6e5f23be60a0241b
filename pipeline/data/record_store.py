"""Records of a whole data set: their texts on disk, and in memory the numbers by which they are sorted and counted."""

import os
import pickle
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from enum import IntFlag
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.raw_rows import Place
from pipeline.data.records import key_of

_BUFFER = 2**20
_SIDES = ("chosen", "rejected")


class Has(IntFlag):
    """What a record holds."""

    TEXT = 1
    LABEL = 2
    PAIR = 4
    RESPONSE = 8
    SHORT = 16
    """A text of too few words."""
    GLUED = 32
    """A pair with a response that begins right behind the last letter of the prompt."""


class RecordStore:
    """Records by their number, in the order in which they came; about 80 bytes of memory each.

    Texts are in a temporary file without a name, which is gone when nothing reads it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Args:
        folder: of the temporary file; None is the system's.
        """
        self._stream = tempfile.TemporaryFile(dir=folder, buffering=_BUFFER)  # noqa: SIM115 (it lives as long as this)
        self._ends, self._written = array("Q", [0]), 0
        self._hashes, self._ids, self._has = array("d"), array("Q"), array("B")
        self._prompts, self._folded, self._texts = array("Q"), array("Q"), array("Q")
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._source, self._row = array("I"), array("Q")
        self._several: dict[int, Sequence[Place]] = {}
        self._last: tuple[int, dict[str, Any]] = (-1, {})

    def add(self, record: Mapping[str, Any], *, hashed: float, folded: str) -> int:
        """Keep a record under the next number.

        Args:
            record: with `id`, `prompt` and `places`.
            hashed: the hash of its prompt in [0, 1).
            folded: its prompt as prompts are compared.
        """
        self._stream.write(content := pickle.dumps(record, pickle.HIGHEST_PROTOCOL))
        self._ends.append(self._ends[-1] + len(content))
        self._hashes.append(hashed)
        self._ids.append(int(record["id"], 16))
        self._has.append(_what(record))
        self._prompts.append(key_of(record["prompt"]))
        self._folded.append(key_of(folded))
        self._texts.append(key_of(record["prompt"], record["response"]) if "response" in record else 0)
        source, row = record["places"][0]
        if source not in self._numbers:
            self._numbers[source] = len(self._names)
            self._names.append(source)
        self._source.append(self._numbers[source])
        self._row.append(row)
        if len(record["places"]) > 1:
            self._several[len(self._row) - 1] = record["places"]
        return len(self._row) - 1

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, number: int) -> dict[str, Any]:
        if self._last[0] != number:
            if self._written < len(self):
                self._stream.flush()
                self._written = len(self)
            start, stop = self._ends[number], self._ends[number + 1]
            self._last = number, pickle.loads(os.pread(self._stream.fileno(), stop - start, start))
        return self._last[1]

    def places(self, number: int) -> Sequence[Place]:
        """The raw rows of a record."""
        if several := self._several.get(number):
            return several
        return [(self._names[self._source[number]], self._row[number])]

    def identity(self, number: int) -> str:
        """Its id."""
        return f"{self._ids[number]:016x}"

    @property
    def hashes(self) -> np.ndarray:
        """Of the prompts, in [0, 1): (N,)."""
        return np.array(self._hashes)

    @property
    def ids(self) -> np.ndarray:
        """As numbers, which sort as the ids do: (N,)."""
        return np.array(self._ids)

    @property
    def prompts(self) -> np.ndarray:
        """Keys of the prompts, letter by letter: (N,)."""
        return np.array(self._prompts)

    @property
    def folded(self) -> np.ndarray:
        """Keys of the prompts as they are compared: (N,)."""
        return np.array(self._folded)

    @property
    def texts(self) -> np.ndarray:
        """Keys of prompt and response together; 0 without a response: (N,)."""
        return np.array(self._texts)

    @property
    def has(self) -> np.ndarray:
        """What each record holds, as flags of `Has`: (N,)."""
        return np.array(self._has)


def _what(record: Mapping[str, Any]) -> Has:
    found = Has(0)
    for name, flag in (("text", Has.TEXT), ("label", Has.LABEL), ("chosen", Has.PAIR), ("response", Has.RESPONSE)):
        if name in record:
            found |= flag
    if record.get("short"):
        found |= Has.SHORT
    if "chosen" in record and begins_behind_letter(record):
        found |= Has.GLUED
    return found


def begins_behind_letter(pair: Mapping[str, Any]) -> bool:
    """Whether a response of a pair begins right behind the last letter of the prompt."""
    prompt, responses = pair["prompt"], [pair[side] for side in _SIDES]
    return not prompt[-1].isspace() and any(text and not text[0].isspace() for text in responses)
