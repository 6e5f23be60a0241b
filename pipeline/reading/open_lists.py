"""Lists of responses in a source: whether it is clear which response of a list is the best."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.coding_advice import Values, advise
from pipeline.reading.response_lists import open_list, place_of
from pipeline.reading.samples import NumberedRow, read_rows, sample_rows
from pipeline.reading.sources import Source
from pipeline.reading.verdicts import NO_VERDICTS, Undeclared

_PLACE = re.compile(
    r".*(?:index|idx)|(?:best|chosen|selected)(?:[ _-]?(?:response|answer|output|completion|id))?", re.IGNORECASE
)
"""Columns whose numbers are places in the list: in others, 1 may say that the first is the better one."""
_STRAY = 20
"""Clear values for each unclear one from which on only the unclear rows are dropped, and counted."""
_SHOWN = 60


@dataclass
class _Seen:
    values: Counter[str] = field(default_factory=Counter)
    unclear: int = 0
    numbers: int = 0
    fits: dict[int, bool] = field(default_factory=lambda: {0: True, 1: True})
    """Whether all numbers are places of responses, where the first has 0, and where it has 1."""
    example: NumberedRow | None = None


def close_lists(source: Source, data: Data) -> Data:
    """A resolved `data` in which it is clear which response of a list is the best.

    Raises:
        PipelineError: it may be one or another, or nothing says it; with what was seen and the lines to add.
    """
    columns = data.columns
    responses, rank, best = str(columns.responses), columns.rank, columns.winner
    winner = best[0] if isinstance(best, list) else best
    if rank and data.best_rank is None:
        rows = list(sample_rows(source, [rank, responses]))
        found = Counter(shorten(str(row[rank]), _SHOWN) for _, row in rows)
        raise PipelineError(advise("rank", source.name, rank, Values(found, rows[0])))
    if not columns.scores and not rank:
        own_scores = any(_has_scores(row[responses]) for _, row in sample_rows(source, [responses]))
        if not own_scores and not winner:
            raise PipelineError(_no_verdict(source, responses))
        if own_scores and winner and not _PLACE.fullmatch(winner.strip()):  # it says something else
            return data.model_copy(update={"columns": columns.model_copy(update={"winner": None})})
    return _close_places(source, data, responses, winner) if winner else data


def _has_scores(responses: Any) -> bool:
    try:
        return open_list(responses)[1] is not None
    except Unreadable:
        return False


def _close_places(source: Source, data: Data, responses: str, winner: str) -> Data:
    seen = _see(sample_rows(source, [winner, responses]), data, responses, winner)
    if seen.numbers and data.first_index is None and _PLACE.fullmatch(winner.strip()):
        if all(seen.fits.values()):
            seen = _see(read_rows(source, [winner, responses]), data, responses, winner)
        fitting = [first for first, fits in seen.fits.items() if fits]
        if len(fitting) == 1:
            data = data.model_copy(update={"first_index": fitting[0]})
            seen = _see(sample_rows(source, [winner, responses]), data, responses, winner)
    if seen.unclear * _STRAY > seen.values.total() - seen.unclear:
        raise PipelineError(_open_places(source, data, responses, winner, seen))
    return data


def _see(rows: Iterable[NumberedRow], data: Data, responses: str, winner: str) -> _Seen:
    seen = _Seen()
    for number, row in rows:
        try:
            texts, _ = open_list(row[responses])
        except Unreadable:
            continue
        place = place_of(row[winner], texts, data.first_index)
        if place is None or place == "" or place in NO_VERDICTS:
            continue
        seen.values[shorten(plain_code(row[winner]), _SHOWN)] += 1
        if isinstance(place, int) or place == "tie":
            continue
        seen.unclear += 1
        seen.example = seen.example or (number, row)
        if isinstance(place, Undeclared) and (value := code_number(row[winner])) is not None:
            seen.numbers += 1
            for first in seen.fits:
                seen.fits[first] &= first <= value < len(texts) + first
    return seen


def _open_places(source: Source, data: Data, responses: str, winner: str, seen: _Seen) -> str:
    number, row = seen.example or (1, {})
    shown = ", ".join(f"'{value}' ({count:,} times)" for value, count in seen.values.most_common(8))
    cells = ", ".join(f"{name}: {shorten(str(row.get(name)), _SHOWN)}" for name in (winner, responses))
    ways = [f"  # if {first} is the first response:\n  first_index: {first}" for first in (0, 1)]
    fit = "" if any(seen.fits.values()) else ", though there are some that are no place by either"
    numbers = "\n".join([f"Add to params.yaml, under data, from what its numbers count{fit}:", *ways])
    words = f"Write the text of the best response there, its letter or its number, or set ignore_columns: [{winner}]."
    todo = numbers if seen.numbers and data.first_index is None else words
    return (
        f"{source.name}: the column {winner} does not say by itself which of {responses} is the best. It has {shown}. "
        f"Row {number}, for example: {{{cells}}}.\n{todo}"
    )


def _no_verdict(source: Source, responses: str) -> str:
    others = ", ".join(name for name in source.rows.column_names if name != responses)
    return (
        f"{source.name}: {responses} holds lists of responses, and nothing says which is the best. Name in "
        "data.columns.scores a list of scores, in data.columns.rank a list of ranks, or in data.columns.winner the "
        f"best one, as its text, letter or number; there are also {others}."
    )
