"""A response a row: which of those to a prompt is the best, and whether one is wanted."""

from abc import abstractmethod
from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator
from typing import Any

from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.codings import Decoder
from pipeline.reading.layouts.layout import Layout
from pipeline.reading.opinions import names as called
from pipeline.reading.opinions.decisions import (
    Claim,
    Decision,
    Decisions,
    Field,
    Ways,
    is_empty,
    order_of,
    ways_of_order,
)
from pipeline.reading.opinions.words import as_truth
from pipeline.reading.rows import Row
from pipeline.reading.samples import NumberedRow
from pipeline.reading.sources import Source
from pipeline.reading.written_messages import unpack

_FIELDS = {"ratings": "score", "rankings": "rank", "thumbs": "label"}
BY_PROMPT = frozenset(_FIELDS)
"""Formats with a response a row that compare those to one prompt."""
_LONGEST = 60
"""Characters of a word that may be a code."""
_FEW_WORDS = 3
_Said = tuple[Hashable, float | None]
"""What a response answers, and how good it is."""


class _OfPrompt(Decisions):
    """The best and the worst of the responses to a prompt; of liked and disliked ones, each pair.

    Args:
        data: resolved.
        by: what says how good a response is.
        needed: columns that are read.
        long: those of them that no other column is held against, and that are not kept.
        thumbs: a response is liked or not.
    """

    unit = "prompts"
    by_any_name = False

    def __init__(self, data: Data, by: str, needed: list[str], *, long: Collection[str] = (), thumbs: bool = False):
        self._data, self.by, self.needed, self._long, self._thumbs = data, [by], needed, long, thumbs

    @abstractmethod
    def _said(self, row: Row) -> _Said:
        """What a response answers, and how good it is."""

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        said = ((number, row, *self._said(row)) for number, row in rows)
        found = ((key, good, number, self._kept(row)) for number, row, key, good in said if good is not None)
        return _liked_over_disliked(found) if self._thumbs else _best_over_worst(found)

    def _kept(self, row: Row) -> Row:
        return {name: value for name, value in row.items() if name not in self._long}

    def is_called(self, name: str) -> bool:
        beside_thumbs = self._thumbs and called.is_score(name)
        return beside_thumbs or called.is_rank(name) or _says_wanted(name)

    def may_hold(self, name: str, values: Collection[str]) -> bool:
        return len(values) < _FEW_WORDS or all(code_number(value) is not None for value in values)

    def ways(self, name: str) -> Ways | None:
        return ways_of_order(name, self._data)

    def claim(self, field: Field) -> Claim:
        turned = called.says_unwanted(field.name)
        means_truth = turned or called.says_wanted(field.name)

        def claim(one: Decision) -> str | None:
            values = field.of(one.row), field.of(one.worst)
            best, worst = (as_truth(value) if means_truth else None for value in values)
            if best is None or worst is None:
                return order_of(*values)
            return None if best == worst else "a" if best is not turned else "b"

        return claim


class OfPrompt(_OfPrompt):
    """By the columns of ratings, rankings or thumbs."""

    def __init__(self, source: Source, data: Data):
        columns, self._field = data.columns, _FIELDS[data.format]
        asked = [name for name in (columns.prompt, columns.context) if name in source.rows.column_names]
        self._decoder, self._asked = Decoder(data), [str(name) for name in asked]
        self._by, self._response = str(getattr(columns, self._field)), str(columns.response)
        long = self._asked or [self._response]
        super().__init__(data, self._by, [self._by, *long], long=long, thumbs=self._field == "label")

    def _said(self, row: Row) -> _Said:
        if self._asked:
            return hash(tuple(str(row.get(name)) for name in self._asked)), self._goodness(row)
        talk = unpack(row.get(self._response))
        return hash(str(talk[:-1])) if isinstance(talk, list) else 0, self._goodness(row)

    def _goodness(self, row: Row) -> float | None:
        value = self._decoder.row({self._field: row.get(self._by)})[self._field]
        if self._thumbs:
            return None if (liked := as_truth(value)) is None else float(liked)
        number = code_number(value)
        return -number if number is not None and self._field == "rank" else number


class OfRatedLayout(_OfPrompt):
    """By a layout whose rows are ratings."""

    def __init__(self, source: Source, data: Data, layout: Layout):
        self._layout = layout
        needed = [name for name in layout.uses if name in source.rows.column_names]
        super().__init__(data, f"the layout {layout.name}", needed)

    def _said(self, row: Row) -> _Said:
        try:
            parts = self._layout.convert(row)
        except Unreadable:
            return 0, None
        if len(parts) != 1 or "score" not in parts[0]:
            return 0, None
        return hash(str(parts[0].get("prompt"))), code_number(parts[0]["score"])


_Found = Iterable[tuple[Hashable, float, int, Row]]
"""What was asked, how good the response is, the number of its row, and what else is there."""


def _best_over_worst(found: _Found) -> Iterator[Decision]:
    """The best row over the worst of each prompt; of several equal ones, the first that is read."""
    ends: dict[Hashable, list[tuple[float, int, Row]]] = {}
    for key, good, number, row in found:
        known = ends.setdefault(key, [(good, number, row)] * 2)
        for at, better in enumerate((good > known[0][0], good < known[1][0])):
            if better:
                known[at] = (good, number, row)
    for (high, number, best), (low, _, worst) in ends.values():
        if low < high:
            yield Decision(number, best, "a", worst=worst)


def _liked_over_disliked(found: _Found) -> Iterator[Decision]:
    """Pairs in the order of the rows, as they are read."""
    waiting: dict[Hashable, tuple[deque[Any], deque[Any]]] = {}
    for key, good, number, row in found:
        both = waiting.setdefault(key, (deque(), deque()))
        both[good > 0].append((number, row))
        if all(both):
            (_, worst), (at, best) = both[0].popleft(), both[1].popleft()
            yield Decision(at, best, "a", worst=worst)


class OfOne(Decisions):
    """Whether a response, or a text, is wanted."""

    question = "whether it is good"

    def __init__(self, data: Data):
        self._decoder, self._label = Decoder(data), str(data.columns.label)
        self.by, self.needed = [self._label], [self._label]

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        for number, row in rows:
            wanted = as_truth(self._decoder.row({"label": row.get(self._label)})["label"])
            if wanted is not None:
                yield Decision(number, row, "a" if wanted else "b")

    def is_called(self, name: str) -> bool:
        return _says_wanted(name)

    def may_hold(self, name: str, values: Collection[str]) -> bool:
        return len(values) <= _FEW_WORDS

    def claim(self, field: Field) -> Claim:
        turned = called.says_unwanted(field.name)
        means_truth = turned or called.says_wanted(field.name)

        def claim(one: Decision) -> str | None:
            value = field.of(one.row)
            if is_empty(value) or isinstance(value, list | dict) or len(str(value)) > _LONGEST:
                return None
            truth = as_truth(value) if means_truth else None
            if truth is not None:
                return "a" if truth is not turned else "b"
            return None if isinstance(value, float) and not value.is_integer() else plain_code(value)

        return claim


def _says_wanted(name: str) -> bool:
    return called.says_wanted(name) or called.is_label(name) or called.says_unwanted(name)
