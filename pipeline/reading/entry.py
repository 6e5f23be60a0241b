"""What a raw row says, or several together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.reading.categories import EVERYTHING
from pipeline.reading.chats import Unreadable
from pipeline.reading.pairs import SCORES, Comparison
from pipeline.reading.verdicts import Vote

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


def refused(reason: Unreadable, rows: Sequence[int] = ()) -> Entry:
    """No record, and why."""
    return Entry(tuple(rows), None, str(reason), reason.seen)


def decided(comparison: Comparison, rows: Sequence[int] = ()) -> Entry:
    """The pair that the votes on a comparison give."""
    try:
        winner = comparison.decide(comparison.votes)
    except Unreadable as reason:
        seen = reason.seen or ", ".join(vote.verdict for vote in comparison.votes[:_SHOWN_VOTES])
        return Entry(tuple(rows), None, str(reason), seen, comparison.votes)
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
    return Entry(tuple(rows), record, votes=comparison.votes)
