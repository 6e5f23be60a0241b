"""What became of every raw row: used, unused or dropped, and why."""

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np

from pipeline.data.raw_rows import Place
from pipeline.data.views import View
from pipeline.reading.sources import Source

_NO_ID = 2**64 - 1


class Fate(TypedDict):
    """A row of artifacts/data/fates.jsonl: what became of a raw row, or of one of several entries that it gave."""

    source: str
    row: int
    """Number of the row in its source, from 1."""
    id: str | None
    """Id of the record; None where the row has no text."""
    fate: str
    """`used.SPLIT`, `unused.SPLIT`, `unused.REASON` or `dropped.REASON`."""
    seen: NotRequired[str | None]
    """The values that are the cause, shortened."""


def dropped_reason(fate: Fate) -> str | None:
    """Why a raw row was dropped; None where it was not."""
    kind, _, reason = fate["fate"].partition(".")
    return reason if kind == "dropped" else None


def raw_rows_of(sources: Sequence[Source]) -> Callable[[Fate], Any]:
    """A function that gives the raw row of a fate, as its source has it."""
    rows = {source.name: source.rows for source in sources}
    return lambda fate: rows[fate["source"]][fate["row"] - 1]


class Fates:
    """The fates of all raw rows and entries, in about 25 bytes each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How many entries have each fate."""
        self.by_source: dict[str, Counter[str]] = {}
        """How many entries of each source have each fate."""
        self._sources: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._seen: dict[int, str] = {}
        self._source, self._row, self._id, self._fate = array("I"), array("Q"), array("Q"), array("H")

    def note(self, places: Sequence[Place], identity: int | None, fate: str, seen: str = "") -> None:
        """Note what became of the raw rows of a record.

        Args:
            places: the raw rows of the record.
            identity: the id of the record as a number; None where it has no text.
            fate: used, unused or dropped, and why.
            seen: the values that are the cause, shortened.
        """
        self.counts[fate] += len(places)
        name = self._names.setdefault(fate, len(self._names))
        for source, row in places:
            self.by_source.setdefault(source, Counter())[fate] += 1
            if seen:
                self._seen[len(self._row)] = sys.intern(seen)  # often the same
            self._source.append(self._sources.setdefault(source, len(self._sources)))
            self._row.append(row)
            self._id.append(_NO_ID if identity is None else identity)
            self._fate.append(name)

    @property
    def rows(self) -> int:
        """Number of different raw rows with a fate."""
        return len(np.unique(np.array(self._source, dtype=np.uint64) << np.uint64(48) | np.array(self._row)))

    def in_order(self, sources: Sequence[str]) -> Sequence[Fate]:
        """All fates, by source and row.

        Args:
            sources: the names of all sources, in their order.
        """
        ranks = np.array([sources.index(name) for name in self._sources], dtype=np.int64)
        # stable: what was noted first of a row comes first
        order = np.lexsort((np.array(self._row), ranks[np.array(self._source)])) if len(self._row) else np.zeros(0, int)
        names, fates = list(self._sources), list(self._names)

        def fate(at: int) -> Fate:
            identity = self._id[at]
            found: Fate = {
                "source": names[self._source[at]],
                "row": self._row[at],
                "id": None if identity == _NO_ID else f"{identity:016x}",
                "fate": fates[self._fate[at]],
            }
            if at in self._seen:
                found["seen"] = self._seen[at]
            return found

        return View(order, fate)
