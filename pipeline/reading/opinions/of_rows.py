"""A response a row: which of those to a prompt is the best, and whether one is wanted."""

from collections.abc import Collection, Iterable, Iterator

from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.codings import Decoder
from pipeline.reading.opinions import names as called
from pipeline.reading.opinions.decisions import (
    Claim,
    Decision,
    Decisions,
    Row,
    Ways,
    as_truth,
    is_empty,
    order_of,
    value_at,
    ways_of_order,
)
from pipeline.reading.samples import NumberedRow
from pipeline.reading.sources import Source

_FIELDS = {"ratings": "score", "rankings": "rank", "thumbs": "label"}
BY_PROMPT = frozenset(_FIELDS)
"""Formats with a response a row that compare those to one prompt."""
_LONGEST = 60
"""Characters of a word that may be a code."""


class OfPrompt(Decisions):
    """The best and the worst of the responses to a prompt."""

    unit = "prompts"
    by_any_name = False

    def __init__(self, source: Source, data: Data):
        self._data, self._decoder, self._field = data, Decoder(data), _FIELDS[data.format]
        self._prompt, self._by = str(data.columns.prompt), str(getattr(data.columns, self._field))
        self.by = [self._by]
        self.needed = [self._by, *([self._prompt] if self._prompt in source.rows.column_names else [])]

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        ends: dict[int, list[tuple[float, int, Row]]] = {}
        for number, row in rows:
            if (good := self._goodness(row)) is not None:
                kept = {name: value for name, value in row.items() if name != self._prompt}
                known = ends.setdefault(hash(str(row.get(self._prompt))), [])
                known.append((good, number, kept))
                known.sort(key=lambda one: one[:2])
                del known[1:-1]
        for known in ends.values():
            (low, _, worst), (high, number, best) = known[0], known[-1]
            if low < high:
                yield Decision(number, best, "a", worst=worst)

    def _goodness(self, row: Row) -> float | None:
        value = self._decoder.row({self._field: row.get(self._by)})[self._field]
        if self._field == "label":
            return None if (liked := as_truth(value)) is None else float(liked)
        number = code_number(value)
        return -number if number is not None and self._field == "rank" else number

    def is_called(self, name: str) -> bool:
        beside_thumbs = self._field == "label" and called.is_score(name)
        return beside_thumbs or called.is_rank(name) or _says_wanted(name)

    def may_hold(self, values: Collection[str]) -> bool:
        return len(values) <= len(("good", "bad")) or all(code_number(value) is not None for value in values)

    def ways(self, name: str) -> Ways | None:
        return ways_of_order(name, self._data)

    def claim(self, name: str) -> Claim:
        means_truth = called.says_wanted(name) or called.names_loser(name)

        def claim(one: Decision) -> str | None:
            values = value_at(one.row, name), value_at(one.worst, name)
            best, worst = (as_truth(value) if means_truth else None for value in values)
            if best is None or worst is None:
                return order_of(*values)
            return None if best == worst else "a" if best is not called.names_loser(name) else "b"

        return claim


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

    def may_hold(self, values: Collection[str]) -> bool:
        return len(values) <= len(("good", "neither", "bad"))

    def claim(self, name: str) -> Claim:
        means_truth = called.says_wanted(name) or called.names_loser(name)

        def claim(one: Decision) -> str | None:
            value = value_at(one.row, name)
            if is_empty(value) or isinstance(value, list | dict) or len(str(value)) > _LONGEST:
                return None
            truth = as_truth(value) if means_truth else None
            if truth is not None:
                return "a" if truth is not called.names_loser(name) else "b"
            return None if isinstance(value, float) and not value.is_integer() else plain_code(value)

        return claim


def _says_wanted(name: str) -> bool:
    return called.says_wanted(name) or called.is_label(name) or called.names_loser(name)
