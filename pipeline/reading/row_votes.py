"""Comparisons with a vote a row: what all annotators say of two responses, counted together after the last row."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from pipeline.reading.chats import Unreadable
from pipeline.reading.entry import Entry, decided, refused
from pipeline.reading.held_rows import HeldRows, text_key
from pipeline.reading.pairs import read_comparison
from pipeline.reading.rows import Row
from pipeline.reading.styles import Style
from pipeline.reading.votes import Verdict, Vote
from pipeline.scratch import ScratchFile

_VERDICTS: tuple[Verdict, ...] = ("a", "b", "tie")


class _Ballot:
    """Votes by the number of their comparison, about 30 bytes each."""

    def __init__(self) -> None:
        self._annotators: dict[str, int] = {}
        self._of, self._rows, self._who, self._said = array("Q"), array("Q"), array("Q"), array("B")

    def add(self, comparison: int, row: int, vote: Vote) -> None:
        """One more."""
        self._of.append(comparison)
        self._rows.append(row)
        self._who.append(self._annotators.setdefault(vote.annotator, len(self._annotators)))
        self._said.append(_VERDICTS.index(vote.verdict) + len(_VERDICTS) * vote.swapped)

    def by_comparison(self) -> Iterator[tuple[int, tuple[int, ...], tuple[Vote, ...]]]:
        """Number, rows and votes of each, in the order of the numbers."""
        names, of = list(self._annotators), np.array(self._of)
        order = np.argsort(of, kind="stable")
        for found in np.split(order, np.flatnonzero(np.diff(of[order])) + 1) if len(order) else ():
            rows = dict.fromkeys(self._rows[at] for at in found.tolist())
            yield int(of[found[0]]), tuple(rows), tuple(self._vote(at, names) for at in found.tolist())

    def _vote(self, at: int, names: list[str]) -> Vote:
        swapped, verdict = divmod(self._said[at], len(_VERDICTS))
        return Vote(names[self._who[at]], _VERDICTS[verdict], bool(swapped))


def read_votes(rows: Iterable[tuple[int, Row]], style: Style, file: ScratchFile) -> Iterator[Entry]:
    """Entries of rows with a vote each: votes on the same prompt and responses, in whichever order, are one entry.

    Where rows name their `item`, an annotator's last row on it replaces the earlier ones, which are `superseded`;
    without it every row is a vote, as those of a judge that is asked in both orders.

    Args:
        rows: with their numbers, from 1.
        file: holds texts until the last row is read.
    """
    first, ballot, numbers = HeldRows(file), _Ballot(), dict[int, int]()
    for position, row, superseded in _with_standing(rows, file):
        try:
            if superseded:
                raise Unreadable("superseded", row.get("annotator"), row["item"])
            comparison = read_comparison(row, style)
        except Unreadable as reason:
            yield refused(reason, (position,))
            continue
        key = text_key(comparison.prompt, *sorted(set(comparison.responses)))
        begin = text_key(comparison.responses[0])
        if key not in numbers:
            numbers[key] = first.add(position, begin, 0.0, replace(comparison, votes=()))
        number = numbers[key]
        for vote in comparison.votes:
            ballot.add(number, position, vote if first.key(number) == begin else vote.reversed())
    for number, positions, votes in ballot.by_comparison():
        yield decided(replace(first.content(number), votes=votes), positions)


def _with_standing(rows: Iterable[tuple[int, Row]], file: ScratchFile) -> Iterator[tuple[int, Row, bool]]:
    """Number, row, and whether its annotator said something later of the same item."""
    held, last = HeldRows(file), dict[int, int]()
    for position, row in rows:
        if row.get("item") is None:
            yield position, row, False
            continue
        key = text_key(str(row.get("annotator")), str(row["item"]))
        if key in last:
            earlier = last.pop(key)
            yield held.position(earlier), held.content(earlier), True
        last[key] = held.add(position, key, 0.0, row)
    for number in last.values():
        yield held.position(number), held.content(number), False
