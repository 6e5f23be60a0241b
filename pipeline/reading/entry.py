"""The content of one raw row, or of several that belong together."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.reading.categories import EVERYTHING
from pipeline.reading.chats import Unreadable
from pipeline.reading.pairs import Comparison
from pipeline.reading.record import Record
from pipeline.reading.votes import Vote

_SHOWN_VOTES = 8


@dataclass(frozen=True)
class Entry:
    """A record, or the reason why there is none."""

    rows: tuple[int, ...]
    """Numbers of its raw rows, from 1."""
    record: Record | None
    reason: str = ""
    seen: str = ""
    """The values that the reason is about, shortened."""
    votes: tuple[Vote, ...] = ()
    """Votes as they were given; a is the response that comes first in the data."""
    category: str = EVERYTHING
    """The category of its prompt; of several rows, that of the first."""
    unused: bool = False
    """Whether there is no record because this part of the row is not used, and not because it could not be read."""


def refused(reason: Unreadable, rows: Sequence[int] = ()) -> Entry:
    """An entry without a record, with the reason."""
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
    record: Record = {
        "prompt": comparison.prompt,
        "chosen": chosen,
        "rejected": rejected,
        "votes": [one.as_record() for one in votes],
    }
    if scores := comparison.scores:
        record["chosen_score"], record["rejected_score"] = scores if winner == "a" else scores[::-1]
    return Entry(tuple(rows), record, votes=comparison.votes)
