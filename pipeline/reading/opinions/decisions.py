"""What is read of a source: who won, of two responses, of a list, or of all responses to a prompt."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pipeline.params.codings import code_number
from pipeline.params.data import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.codings import Decoder
from pipeline.reading.fields import side_columns
from pipeline.reading.layouts.layout import Layout
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.response_lists import open_list, places_of_best
from pipeline.reading.samples import NumberedRow
from pipeline.reading.sources import Source
from pipeline.reading.verdicts import Verdict, Vote, majority, read_verdict

Row = Mapping[str, Any]


class Decision(NamedTuple):
    """One of a source, with what other columns are held against."""

    number: int
    """Of its row, from 1."""
    row: Row
    read: Verdict
    other: Row
    """Of responses in rows of their own: that of the one that lost, to `row` of the one that won."""
    texts: Sequence[Any] = ()
    """Of both responses, or of the whole list."""
    best: frozenset[int] = frozenset()
    """Places in the list."""


class Decisions(Protocol):
    """How a format decides."""

    by: list[str]
    """The columns that say it, as users are told."""
    needed: list[str]

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        """Those of these rows."""


class OfTwo:
    """Two responses a row, by the columns that say who won."""

    def __init__(self, data: Data, columns: tuple[str, str], by: list[str], read: Callable[[Row], Verdict | None]):
        self.columns, self.by, self._read = columns, by, read
        self.models = data.columns.models or []
        self.needed = [*columns, *by, *self.models]

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        for number, row in rows:
            if read := self._read(row):
                yield Decision(number, row, read, row, [row.get(name) for name in self.columns])


class OfList:
    """The best response of a list, by scores, by ranks, or named."""

    def __init__(self, data: Data):
        columns = data.columns
        self._names = {"responses": columns.responses, "scores": columns.scores, "rank": columns.rank}
        self._names["winner"] = columns.winner[0] if isinstance(columns.winner, list) else columns.winner
        self._decoder = Decoder(data)
        self.by = [str(name) for field, name in self._names.items() if name and field != "responses"]
        self.by = self.by or [str(columns.responses)]
        self.needed = [str(name) for name in self._names.values() if name]

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        for number, row in rows:
            fields = {field: row.get(str(name)) for field, name in self._names.items() if name}
            try:
                texts, _ = open_list(fields["responses"])
                best = places_of_best(self._decoder.row(fields))
            except Unreadable:
                continue
            if best:
                yield Decision(number, row, "a", row, texts, best)


class OfPrompt:
    """The best and the worst of the responses to a prompt, a row each."""

    def __init__(self, source: Source, data: Data):
        columns = data.columns
        self._form, self._decoder = data.format, Decoder(data)
        self.by_thumbs = data.format == "thumbs"
        self._field = {"ratings": "score", "rankings": "rank", "thumbs": "label"}[data.format]
        self._prompt, self._by = str(columns.prompt), str(getattr(columns, self._field))
        self.by = [self._by]
        self.needed = [self._by, *([self._prompt] if self._prompt in source.rows.column_names else [])]

    def _goodness(self, row: Row) -> float | None:
        value = self._decoder.row({self._field: row.get(self._by)})[self._field]
        if self.by_thumbs:
            return None if (liked := as_truth(value)) is None else float(liked)
        number = code_number(value)
        return -number if number is not None and self._form == "rankings" else number

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
                yield Decision(number, best, "a", worst)


class OfOne:
    """Whether a response, or a text, is wanted."""

    def __init__(self, data: Data):
        self._decoder, self._label = Decoder(data), str(data.columns.label)
        self.by, self.needed = [self._label], [self._label]

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        for number, row in rows:
            wanted = as_truth(self._decoder.row({"label": row.get(self._label)})["label"])
            if wanted is not None:
                yield Decision(number, row, "a" if wanted else "b", row)


class OfLayout:
    """Two responses a row, as a layout reads it."""

    def __init__(self, source: Source, layout: Layout):
        self._layout = layout
        self.needed = [name for name in layout.uses if name in source.rows.column_names]
        self.by = [f"the layout {layout.name}"]
        self.columns = ("response_a", "response_b") if layout.form == "comparisons" else ("chosen", "rejected")

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        for number, row in rows:
            try:
                parts = self._layout.convert(row)
            except Unreadable:
                continue
            if len(parts) == 1 and set(self.columns) <= parts[0].keys():
                read = read_verdict(parts[0].get("winner")) if self._layout.form == "comparisons" else "a"
                if read:
                    yield Decision(number, row, read, row, [parts[0][name] for name in self.columns])


def as_truth(value: Any) -> bool | None:
    """True and false, also as 1 and 0, yes and no, and as texts."""
    text = str(value).strip().casefold().removesuffix(".0")
    return {"1": True, "0": False, "true": True, "false": False, "yes": True, "no": False}.get(text)


def decisions_of(source: Source, data: Data, others: Sequence[str]) -> list[Decisions]:
    """How a source with a resolved `data` is read; nothing for formats without preferences.

    Args:
        others: columns that are not read.
    """
    columns = data.columns
    if layout := LAYOUTS.get(data.format):
        return [OfLayout(source, layout)] if layout.form != "ratings" else []
    if data.format == "comparisons" and columns.response_a and columns.response_b:
        return [_votes(data, (columns.response_a, columns.response_b))]
    if data.format == "preference_pairs" and columns.chosen and columns.rejected:
        return [_pair(data, (columns.chosen, columns.rejected), side_columns(others))]
    if data.format == "scored_responses":
        return [OfList(data)]
    by_prompt: list[Decisions] = [OfPrompt(source, data)] if data.format in ("ratings", "rankings", "thumbs") else []
    return [OfOne(data), *by_prompt] if data.format in ("thumbs", "labelled_texts") else by_prompt


def _votes(data: Data, sides: tuple[str, str]) -> OfTwo:
    winner, models = data.columns.winner, data.columns.models or ()
    winners = [winner] if isinstance(winner, str) else winner or []
    decoder = Decoder(data)

    def voted(row: Row) -> Verdict | None:
        texts, names = [row.get(name) for name in sides], [row.get(name) for name in models]
        found = [read_verdict(decoder.verdict(row.get(name), texts, names)) for name in winners]
        votes = [Vote("", verdict) for verdict in found if verdict]
        if len(winners) == 1:
            return votes[0].verdict if votes else None
        try:
            return majority(votes)
        except Unreadable:
            return None

    return OfTwo(data, sides, winners, voted)


def _pair(data: Data, pair: tuple[str, str], two: tuple[str, str] | None) -> OfTwo:
    """Where two other columns hold the responses, in whichever order, these are the sides."""
    if two is None:
        return OfTwo(data, pair, list(pair), lambda row: "a")

    def repeated(row: Row) -> Verdict | None:
        same = [row.get(name) == row.get(pair[0]) for name in two]
        return None if same[0] == same[1] else "a" if same[0] else "b"

    return OfTwo(data, two, list(pair), repeated)
