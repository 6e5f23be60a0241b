"""Records of a whole data set: their texts on disk, and in memory the numbers by which they are sorted and counted."""

import pickle
from array import array
from collections.abc import Sequence
from enum import IntFlag
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.raw_rows import Place
from pipeline.data.records import key_of
from pipeline.reading.record import Record
from pipeline.scratch import ScratchFile

_BLOCK = 2**20
"""Bytes that are written at once."""
NUMBERS = np.dtype(
    [
        ("id", np.uint64),  # sorts as the ids do
        ("hash", np.float64),  # of the prompt, in [0, 1)
        ("prompt", np.uint64),  # key of the prompt, letter by letter
        ("folded", np.uint64),  # key of the prompt as prompts are compared
        ("texts", np.uint64),  # key of prompt and response together; 0 without a response
        ("has", np.uint8),  # what it holds, as flags of `Has`
        ("beyond_share", np.bool_),  # only a share of its source is used, and the record is not in it
        ("start", np.uint64),  # where its texts are in the scratch file
        ("size", np.uint64),
    ]
)
"""The numbers of a record, which are in memory."""


class StoredRecord(Record, total=False):
    """A record with its id: each has a prompt, `id`, `category` and `ended`."""

    id: str
    category: str
    """The kind of prompt."""
    ended: bool
    """The response is complete."""
    short: bool
    """The text that prompt and response were cut from has too few words."""
    turns: list[list[int]]
    """The assistant's earlier turns in a prompt that a chat template wrote, as [start, stop) in characters."""
    turns_lost: str
    """Why these turns cannot be told."""
    places: Sequence[Place]
    """Its raw rows; added where a record is read from the store."""


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


_KNOWN_BY = (
    ("text", Has.TEXT.value),
    ("label", Has.LABEL.value),
    ("chosen", Has.PAIR.value),
    ("response", Has.RESPONSE.value),
)
"""Fields, and what a record with each of them holds; as numbers, because flags take long to add up."""


class Packer:
    """Writes the texts of records to a scratch file, and keeps their numbers."""

    def __init__(self, file: ScratchFile) -> None:
        self._file = file
        self._numbers: list[tuple[Any, ...]] = []
        self._sizes: list[int] = []
        self._starts: list[int] = []
        self._waiting: list[bytes] = []
        self._bytes = 0

    def add(self, record: StoredRecord, *, hashed: float, folded: str, beyond_share: bool = False) -> None:
        """Keep a record.

        Args:
            record: the record, with `id` and `prompt`.
            hashed: the hash of the prompt in [0, 1).
            folded: the prompt as prompts are compared.
            beyond_share: see NUMBERS.
        """
        content = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
        prompt = record["prompt"]
        texts = key_of(prompt, record["response"]) if "response" in record else 0
        keys = (key_of(prompt), key_of(folded), texts)
        self._numbers.append((int(record["id"], 16), hashed, *keys, _what(record), beyond_share))
        self._waiting.append(content)
        self._sizes.append(len(content))
        self._bytes += len(content)
        if self._bytes > _BLOCK:
            self._flush()

    def table(self) -> np.ndarray:
        """The numbers of the records so far, see NUMBERS: (N,)."""
        self._flush()
        table = np.zeros(len(self._numbers), dtype=NUMBERS)
        for name, values in zip(NUMBERS.names or (), zip(*self._numbers, strict=True), strict=False):
            table[name] = values
        table["start"], table["size"] = self._starts, self._sizes
        return table

    def _flush(self) -> None:
        start = self._file.append(b"".join(self._waiting))
        for content in self._waiting:
            self._starts.append(start)
            start += len(content)
        self._waiting, self._bytes = [], 0


class RecordStore:
    """Records by their number, in the order in which they came; about 90 bytes of memory each."""

    def __init__(self, folder: Path | None = None) -> None:
        """Args:
        folder: where a temporary file without a name holds the texts; None is the system's folder.
        """
        self.file = ScratchFile(folder)
        self._parts: list[np.ndarray] = [np.zeros(0, dtype=NUMBERS)]
        self._source_numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._source, self._row = array("I"), array("Q")
        self._several: dict[int, Sequence[Place]] = {}
        self._last: tuple[int, StoredRecord] = (-1, {})

    def extend(self, table: np.ndarray, places: Sequence[Sequence[Place]]) -> None:
        """Keep records under the next numbers.

        Args:
            table: the numbers of the records, see NUMBERS; their texts are in `file`.
            places: the raw rows of each.
        """
        self._parts.append(table)
        for own in places:
            source, row = own[0]
            if source not in self._source_numbers:
                self._source_numbers[source] = len(self._names)
                self._names.append(source)
            if len(own) > 1:
                self._several[len(self._row)] = own
            self._source.append(self._source_numbers[source])
            self._row.append(row)

    @property
    def numbers(self) -> np.ndarray:
        """The numbers of all records, see NUMBERS: (N,)."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, number: int) -> StoredRecord:
        """A record with its `places`."""
        if self._last[0] != number:
            of = self.numbers[number]
            record: StoredRecord = pickle.loads(self.file.read(int(of["start"]), int(of["size"])))
            self._last = number, {**record, "places": self.places(number)}
        return self._last[1]

    def places(self, number: int) -> Sequence[Place]:
        """The raw rows of a record."""
        if several := self._several.get(number):
            return several
        return [(self._names[self._source[number]], self._row[number])]

    def identity(self, number: int) -> int:
        """The id of a record as a number."""
        return int(self.numbers["id"][number])


def _what(record: StoredRecord) -> int:
    found = sum(flag for name, flag in _KNOWN_BY if name in record)
    if record.get("short"):
        found |= Has.SHORT.value
    if "chosen" in record and begins_behind_letter(record):
        found |= Has.GLUED.value
    return found


def begins_behind_letter(pair: Record) -> bool:
    """Whether a response of a pair begins right behind the last letter of the prompt."""
    prompt, responses = pair["prompt"], (pair["chosen"], pair["rejected"])
    return not prompt[-1].isspace() and any(text and not text[0].isspace() for text in responses)
