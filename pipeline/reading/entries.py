"""Makes entries of raw rows, each from one row or from several together. Every row is part of an entry."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pipeline.excerpts import shorten
from pipeline.params.data import Data
from pipeline.reading.categories import EVERYTHING
from pipeline.reading.chats import Unreadable
from pipeline.reading.entry import Entry, decided, refused
from pipeline.reading.groups import GROUPED
from pipeline.reading.pairs import (
    Comparison,
    read_comparison,
    read_pair,
    read_pair_scores,
    read_round_robin,
    read_tree,
)
from pipeline.reading.record import Record
from pipeline.reading.response_lists import read_list
from pipeline.reading.responses import read_demonstration, read_prompt, refuse_non_texts, refuse_undeclared
from pipeline.reading.row_votes import read_votes
from pipeline.reading.rows import BROKEN, PARTS, SEEN, UNUSED, Row
from pipeline.reading.styles import Style
from pipeline.reading.written_messages import refuse_written_messages
from pipeline.scratch import ScratchFile

_SHOWN = 80
"""Characters of a line that is no row."""


def read_entries(
    rows: Iterable[Row], data: Data, style: Style, *, first: int = 1, file: ScratchFile | None = None
) -> Iterator[Entry]:
    """Entries of one source, whose format and columns `data` has resolved; of a layout, the form that it is read in.

    Most formats give one for each row. A tree of replies or a list of comparisons gives several; thumbs, ratings and
    votes in rows of their own are put together by prompt, after the last row, see `waits_for_all_rows`.

    Args:
        first: number of the first row.
        file: holds the texts of rows that wait for others; None is a file of its own.
    """
    broken: list[Entry] = []
    kinds = _Kinds(first)
    whole = _whole_rows(rows, broken, kinds)
    if waits_for_all_rows(data):
        entries = GROUPED.get(data.format, read_votes)(whole, style, file or ScratchFile())
    else:
        entries = _by_row(whole, data.format, style)
    for entry in entries:
        yield replace(entry, category=kinds.of(min(entry.rows)))
    yield from broken


def waits_for_all_rows(data: Data) -> bool:
    """Whether rows of a resolved format say something only together, so that none can be read by itself."""
    return data.format in GROUPED or (data.format == "comparisons" and bool(data.columns.annotator))


class _Kinds:
    """The categories of rows, in four bytes each."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._numbers, self._known, self._names = array("I"), {EVERYTHING: 0}, [EVERYTHING]

    def note(self, kind: str | None) -> None:
        """Note the category of the next row."""
        number = self._known.setdefault(kind or EVERYTHING, len(self._names))
        if number == len(self._names):
            self._names.append(kind or EVERYTHING)
        self._numbers.append(number)

    def of(self, position: int) -> str:
        """The category of a row, by its number."""
        return self._names[self._numbers[position - self.first]]


def _whole_rows(rows: Iterable[Row], broken: list[Entry], kinds: _Kinds) -> Iterator[tuple[int, Row]]:
    """Rows or their parts with the rows' numbers; what cannot be read goes to `broken`, all categories to `kinds`."""
    for position, row in enumerate(rows, start=kinds.first):
        kinds.note(row.get("category"))
        if BROKEN in row:
            broken.append(Entry((position,), None, row[BROKEN], shorten(str(row.get("line", "")), _SHOWN)))
            continue
        for part in row.get(PARTS, (row,)):
            if reason := part.get(BROKEN) or part.get(UNUSED):
                broken.append(Entry((position,), None, reason, part.get(SEEN, ""), unused=UNUSED in part))
            else:
                yield position, part


def _by_row(rows: Iterable[tuple[int, Row]], form: str, style: Style) -> Iterator[Entry]:
    for position, row in rows:
        try:
            with style.given(row.get("tools")):
                entries = list(_READERS[form](row, style))
        except Unreadable as reason:
            entries = [refused(reason)]
        yield from (replace(entry, rows=(position,)) for entry in entries)


def _one(record: Record) -> list[Entry]:
    return [Entry((), record)]


def _labelled_text(row: Row, style: Style) -> list[Entry]:
    text = row["text"]
    refuse_non_texts(text)
    refuse_written_messages(text)
    style.check(text)
    if "label" not in row:
        return _one({"text": text})
    return _one({"text": text, "label": int(_binary(row["label"]))})


def _binary(label: Any) -> bool:
    """0 or 1, also as the texts of a table."""
    refuse_undeclared(label)
    if isinstance(label, bool) or label not in (0, 1, "0", "1"):
        raise Unreadable("label_not_0_or_1", label)
    return label in (1, "1")


def _trees(row: Row, style: Style) -> list[Entry]:
    return [Entry((), found) if isinstance(found, dict) else refused(found) for found in read_tree(row, style)]


def _listed(row: Row, style: Style) -> list[Entry]:
    pairs, left = read_list(row, style)
    between = Entry((), None, "between_best_and_worst", unused=True)
    return [*(Entry((), pair) for pair in pairs), *(between for _ in range(left))]


_READERS: dict[str, Callable[[Row, Style], Sequence[Entry]]] = {
    "judgements": lambda row, style: [decided(read_comparison(row, style))],
    "trees": _trees,
    "round_robin": lambda row, style: [
        decided(found) if isinstance(found, Comparison) else refused(found) for found in read_round_robin(row, style)
    ],
    "preference_pairs": lambda row, style: _one({**read_pair(row, style), **read_pair_scores(row)}),
    "comparisons": lambda row, style: [decided(read_comparison(row, style))],
    "scored_responses": _listed,
    "labelled_texts": _labelled_text,
    "texts": _labelled_text,
    "demonstrations": lambda row, style: _one(read_demonstration(row, style)),
    "prompts": lambda row, style: _one(read_prompt(row, style)),
}
