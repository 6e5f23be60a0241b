"""Thumbs, ratings and rankings: responses to one prompt in rows of their own, put together after the last row."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from pipeline.reading.chats import Unreadable
from pipeline.reading.entry import Entry, refused
from pipeline.reading.held_rows import HeldRows, text_key
from pipeline.reading.record import Record
from pipeline.reading.responses import read_number, read_responses, read_thumb
from pipeline.reading.rows import Row
from pipeline.reading.styles import Style
from pipeline.scratch import ScratchFile


class _Said(NamedTuple):
    """The content of a row."""

    prompt: str
    response: str
    goodness: float
    """A number that is higher for a better response."""
    score: float | None
    """The score beside a rank, where there is one."""


_Read = Callable[[Row, Style], _Said]


def _thumb(row: Row, style: Style) -> _Said:
    prompt, response, liked = read_thumb(row, style)
    return _Said(prompt, response, float(liked), None)


def _rated(row: Row, style: Style, *, field: str, sign: float) -> _Said:
    goodness = sign * read_number(row[field])
    prompt, response = read_responses(row, style, row["response"])
    return _Said(prompt, response, goodness, _score_beside(row) if field == "rank" else None)


def _score_beside(row: Row) -> float | None:
    try:
        return read_number(row.get("score"))
    except Unreadable:
        return None


def _hold(rows: Iterable[tuple[int, Row]], style: Style, read: _Read, held: HeldRows) -> Iterator[Entry]:
    """Fill `held`; what cannot be read comes back."""
    for position, row in rows:
        try:
            said = read(row, style)
        except Unreadable as reason:
            yield refused(reason, (position,))
        else:
            held.add(position, text_key(said.prompt), said.goodness, said)


def _thumbs(rows: Iterable[tuple[int, Row]], style: Style, file: ScratchFile) -> Iterator[Entry]:
    """Liked and disliked responses to one prompt as pairs, in the order of the rows; what is left over is unpaired."""
    held = HeldRows(file)
    yield from _hold(rows, style, _thumb, held)
    keys, liked = held.keys, held.values.astype(bool)
    order = np.lexsort((liked, keys))  # stable: in each group the disliked, then the liked, in the order of the rows
    starts, sizes = _groups(keys[order])
    wanted = np.add.reduceat(liked[order], starts, dtype=np.int64) if len(order) else sizes
    unwanted = sizes - wanted
    pairs = np.minimum(wanted, unwanted)
    number = np.arange(pairs.sum()) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    rejected = order[np.repeat(starts, pairs) + number]
    chosen = order[np.repeat(starts + unwanted, pairs) + number]
    for at in np.argsort(np.maximum(chosen, rejected)).tolist():
        yield _pair(held, int(chosen[at]), int(rejected[at]))
    for left in np.setdiff1d(np.arange(len(held)), np.concatenate([chosen, rejected])).tolist():
        yield refused(Unreadable("unpaired", held.content(left).response), (held.position(left),))


def _best_and_worst(
    rows: Iterable[tuple[int, Row]], style: Style, file: ScratchFile, *, field: str, sign: float
) -> Iterator[Entry]:
    """The best and the worst response to each prompt, of several equals the first. Ranks may have scores beside them.

    Args:
        field: holds the number by which they are ranked.
        sign: -1 where lower is better.
    """
    held = HeldRows(file)
    yield from _hold(rows, style, partial(_rated, field=field, sign=sign), held)
    keys, scores = held.keys, held.values
    order = np.argsort(keys, kind="stable")
    starts, sizes = _groups(keys[order])
    best, worst = (np.lexsort((side, keys))[starts] for side in (-scores, scores))
    for group in np.argsort(order[starts]).tolist():
        ends = int(best[group]), int(worst[group])
        decided = scores[ends[0]] != scores[ends[1]]
        if decided:
            yield _pair(held, *ends)
        reason = "between_best_and_worst" if decided else "unpaired" if sizes[group] == 1 else "tie"
        for at in order[starts[group] : starts[group] + sizes[group]].tolist():
            if not (decided and at in ends):
                seen = {field: sign * float(scores[at])}, held.content(at).response
                yield refused(Unreadable(reason, *seen), (held.position(at),))


def _groups(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the runs of equal keys begin, and how long each is."""
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
    return starts, np.diff(np.r_[starts, len(keys)])


def _pair(held: HeldRows, chosen: int, rejected: int) -> Entry:
    better, worse = held.content(chosen), held.content(rejected)
    record: Record = {"prompt": better.prompt, "chosen": better.response, "rejected": worse.response}
    if better.score is not None and worse.score is not None:
        record["chosen_score"], record["rejected_score"] = better.score, worse.score
    return Entry((held.position(chosen), held.position(rejected)), record)


GROUPED: dict[str, Callable[[Iterable[tuple[int, Row]], Style, ScratchFile], Iterator[Entry]]] = {
    "thumbs": _thumbs,
    "ratings": partial(_best_and_worst, field="score", sign=1.0),
    "rankings": partial(_best_and_worst, field="rank", sign=-1.0),
}
