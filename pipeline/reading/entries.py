"""Raw rows to entries: what one row says, or several together. No row is without one."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.excerpts import shorten
from pipeline.params.data import Data
from pipeline.reading.categories import EVERYTHING
from pipeline.reading.chats import Unreadable
from pipeline.reading.pairs import (
    SCORES,
    Comparison,
    read_comparison,
    read_pair,
    read_pair_scores,
    read_round_robin,
    read_scored,
    read_tree,
)
from pipeline.reading.responses import (
    read_demonstration,
    read_number,
    read_prompt,
    read_responses,
    read_thumb,
    refuse_non_texts,
    refuse_undeclared,
)
from pipeline.reading.rows import BROKEN, PARTS, SEEN, UNUSED
from pipeline.reading.styles import Style
from pipeline.reading.verdicts import Vote
from pipeline.reading.written_messages import refuse_written_messages

Row = Mapping[str, Any]
_SHOWN = 80
"""Characters of a line that is no row."""
_SHOWN_VOTES = 8


@dataclass(frozen=True)
class Entry:
    """A record, or the reason why there is none."""

    rows: tuple[int, ...]
    """Numbers of its raw rows, from 1."""
    record: dict[str, Any] | None
    """`prompt` and what else is known of `response`, `chosen` and `rejected`, or `text` and `label`; for a comparison
    also its `votes`, in which a is the chosen response; for a scored pair `chosen_score` and `rejected_score`."""
    reason: str = ""
    seen: str = ""
    """The values that the reason is about, shortened."""
    votes: tuple[Vote, ...] = ()
    """As given: a is the response that the data has first."""
    category: str = EVERYTHING
    """The kind of prompt, of the first of its rows."""
    unused: bool = False
    """There is no record because its part of the row was left out, not because it could not be read."""


def read_entries(rows: Iterable[Row], data: Data, style: Style) -> Iterator[Entry]:
    """Entries of one source, whose format and columns `data` has resolved; of a layout, the form that it is read in.

    Most formats give one for each row. A tree of replies or a list of comparisons gives several; thumbs, ratings and
    votes in rows of their own are put together by prompt, after the last row.
    """
    broken: list[Entry] = []
    categories: dict[int, str] = {}
    whole = _whole_rows(rows, broken, categories)
    if data.format in _GROUPED or (data.format == "comparisons" and data.columns.annotator):
        entries = _GROUPED.get(data.format, read_votes)(whole, style)
    else:
        entries = _by_row(whole, data.format, style)
    for entry in entries:
        yield replace(entry, category=categories.get(min(entry.rows), EVERYTHING))
    yield from broken


def _whole_rows(rows: Iterable[Row], broken: list[Entry], categories: dict[int, str]) -> Iterator[tuple[int, Row]]:
    """Rows or their parts with the rows' numbers, from 1; those that could not be read go to `broken`, the kinds
    of the others to `categories`."""
    for position, row in enumerate(rows, start=1):
        if BROKEN in row:
            broken.append(Entry((position,), None, row[BROKEN], shorten(str(row.get("line", "")), _SHOWN)))
            continue
        if "category" in row:
            categories[position] = sys.intern(row["category"])  # few different ones
        for part in row.get(PARTS, (row,)):
            if reason := part.get(BROKEN) or part.get(UNUSED):
                broken.append(Entry((position,), None, reason, part.get(SEEN, ""), unused=UNUSED in part))
            else:
                yield position, part


def _by_row(rows: Iterable[tuple[int, Row]], form: str, style: Style) -> Iterator[Entry]:
    for position, row in rows:
        try:
            for entry in _READERS[form](row, style):
                yield replace(entry, rows=(position,))
        except Unreadable as reason:
            yield Entry((position,), None, str(reason), reason.seen)


def _one(record: dict[str, Any]) -> list[Entry]:
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


def _decided(comparison: Comparison) -> Entry:
    try:
        winner = comparison.decide(comparison.votes)
    except Unreadable as reason:
        seen = reason.seen or ", ".join(vote.verdict for vote in comparison.votes[:_SHOWN_VOTES])
        return Entry((), None, str(reason), seen, comparison.votes)
    chosen, rejected = comparison.responses if winner == "a" else comparison.responses[::-1]
    votes = comparison.votes if winner == "a" else tuple(vote.reversed() for vote in comparison.votes)
    record: dict[str, Any] = {
        "prompt": comparison.prompt,
        "chosen": chosen,
        "rejected": rejected,
        "votes": [asdict(one) for one in votes],
    }
    if scores := comparison.scores:
        record |= dict(zip(SCORES, scores if winner == "a" else scores[::-1], strict=True))
    return Entry((), record, votes=comparison.votes)


def _refused(reason: Unreadable) -> Entry:
    return Entry((), None, str(reason), reason.seen)


def _trees(row: Row, style: Style) -> list[Entry]:
    return [Entry((), found) if isinstance(found, dict) else _refused(found) for found in read_tree(row, style)]


_READERS: dict[str, Callable[[Row, Style], Sequence[Entry]]] = {
    "judgements": lambda row, style: [_decided(read_comparison(row, style))],
    "trees": _trees,
    "round_robin": lambda row, style: [
        _decided(found) if isinstance(found, Comparison) else _refused(found) for found in read_round_robin(row, style)
    ],
    "preference_pairs": lambda row, style: _one({**read_pair(row, style), **read_pair_scores(row)}),
    "comparisons": lambda row, style: [_decided(read_comparison(row, style))],
    "scored_responses": lambda row, style: _one(read_scored(row, style)),
    "labelled_texts": _labelled_text,
    "texts": _labelled_text,
    "demonstrations": lambda row, style: _one(read_demonstration(row, style)),
    "prompts": lambda row, style: _one(read_prompt(row, style)),
}


def read_votes(rows: Iterable[tuple[int, Row]], style: Style) -> Iterator[Entry]:
    """Comparisons with a vote a row: those of the same prompt and responses, in whichever order, are one entry.

    Where rows name their `item`, an annotator's last row on it replaces the earlier ones, which are `superseded`;
    without it every row is a vote, as those of a judge that is asked in both orders.

    Args:
        rows: with their numbers, from 1.
    """
    found: dict[tuple[str, frozenset[str]], tuple[list[int], Comparison]] = {}
    for position, row, superseded in _with_standing(rows):
        try:
            if superseded:
                raise Unreadable("superseded", row.get("annotator"), row["item"])
            comparison = read_comparison(row, style)
        except Unreadable as reason:
            yield Entry((position,), None, str(reason), reason.seen)
            continue
        positions, first = found.setdefault((comparison.prompt, frozenset(comparison.responses)), ([], comparison))
        positions.append(position)
        if first is comparison:
            continue
        votes = comparison.votes
        if comparison.responses != first.responses:
            votes = tuple(vote.reversed() for vote in votes)
        found[first.prompt, frozenset(first.responses)] = (positions, replace(first, votes=(*first.votes, *votes)))
    for positions, comparison in found.values():
        yield replace(_decided(comparison), rows=tuple(positions))


def _with_standing(rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[int, Row, bool]]:
    """Number, row, and whether its annotator said something later of the same item."""
    last: dict[tuple[str, str], tuple[int, Row]] = {}
    for position, row in rows:
        if row.get("item") is None:
            yield position, row, False
            continue
        key = (str(row.get("annotator")), str(row["item"]))
        if key in last:
            yield *last.pop(key), True
        last[key] = (position, row)
    for position, row in last.values():
        yield position, row, False


def _thumbs(rows: Iterable[tuple[int, Row]], style: Style) -> Iterator[Entry]:
    """Liked and disliked responses to one prompt as pairs, in the order of the rows; what is left over is unpaired."""
    waiting: dict[str, tuple[deque[tuple[int, str]], deque[tuple[int, str]]]] = {}
    for position, row in rows:
        try:
            prompt, response, liked = read_thumb(row, style)
        except Unreadable as reason:
            yield Entry((position,), None, str(reason), reason.seen)
            continue
        wanted, unwanted = waiting.setdefault(prompt, (deque(), deque()))
        (wanted if liked else unwanted).append((position, response))
        if wanted and unwanted:
            (first, chosen), (second, rejected) = wanted.popleft(), unwanted.popleft()
            yield Entry((first, second), {"prompt": prompt, "chosen": chosen, "rejected": rejected})
    for queues in waiting.values():
        for position, response in (thumb for queue in queues for thumb in queue):
            yield Entry((position,), None, "unpaired", Unreadable("unpaired", response).seen)


@dataclass(frozen=True)
class _Rated:
    """A response with what says how good it is, higher for better."""

    goodness: float
    position: int
    response: str
    score: float | None


def _rated(rows: Iterable[tuple[int, Row]], style: Style, *, field: str = "score") -> Iterator[Entry]:
    """The best and the worst response to each prompt; a lower rank is better. Ranks may have scores beside them."""
    sign = -1.0 if field == "rank" else 1.0
    by_prompt: dict[str, list[_Rated]] = {}
    for position, row in rows:
        try:
            goodness = sign * read_number(row[field])
            prompt, response = read_responses(row, style, row["response"])
        except Unreadable as error:
            yield Entry((position,), None, str(error), error.seen)
        else:
            score = _score_beside(row) if field == "rank" else None
            by_prompt.setdefault(prompt, []).append(_Rated(goodness, position, response, score))
    for prompt, found in by_prompt.items():
        # the first of several equals
        best = max(found, key=lambda one: (one.goodness, -one.position))
        worst = min(found, key=lambda one: (one.goodness, one.position))
        decided = best.goodness != worst.goodness
        reason = "unpaired" if len(found) == 1 else "between_best_and_worst" if decided else "tie"
        if decided:
            record: dict[str, Any] = {"prompt": prompt, "chosen": best.response, "rejected": worst.response}
            if best.score is not None and worst.score is not None:
                record |= dict(zip(SCORES, (best.score, worst.score), strict=True))
            yield Entry((best.position, worst.position), record)
        for one in found:
            if not (decided and one in (best, worst)):
                seen = Unreadable(reason, {field: sign * one.goodness}, one.response).seen
                yield Entry((one.position,), None, reason, seen)


def _score_beside(row: Row) -> float | None:
    try:
        return read_number(row.get("score"))
    except Unreadable:
        return None


_GROUPED: dict[str, Callable[[Iterable[tuple[int, Row]], Style], Iterator[Entry]]] = {
    "thumbs": _thumbs,
    "ratings": _rated,
    "rankings": lambda rows, style: _rated(rows, style, field="rank"),
}
