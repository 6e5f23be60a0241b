"""The votes of one annotator so far, and the next item."""

import re
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypedDict

from pipeline.errors import PipelineError
from pipeline.labelling.items import Item
from pipeline.labelling.vote_log import VoteLog
from pipeline.reading.vote_files import VoteRow

WINNERS = ("a", "b", "tie", "skip")
"""The possible votes on an item: a is for the response that is shown first, b for the other one."""
UNDO = "undo"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_annotator(name: str) -> None:
    """Refuse a name that cannot be that of a vote file.

    Raises:
        PipelineError: the name is empty, too long, or has other characters.
    """
    if not _NAME.fullmatch(name):
        raise PipelineError(
            f"annotator {name!r}: a name of up to 64 letters, digits, dots, dashes and underscores is "
            "needed, as in `make label ANNOTATOR=ann`."
        )


def utc_now() -> str:
    """The time, to the second, as ISO 8601 in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ShownResponse(TypedDict):
    """A response as the page shows it."""

    text: str
    ended: bool


class ShownItem(TypedDict):
    """An item as the page shows it; the first response is a."""

    id: str
    prompt: str
    responses: list[ShownResponse]


class SessionState(TypedDict):
    """What the page shows: progress and the next item."""

    annotator: str
    done: int
    """How many items the annotator has voted on or skipped."""
    total: int
    ties: int
    skipped: int
    previous: str | None
    """The item that undo would take back."""
    item: ShownItem | None
    """The next item; None when all are done."""


class Session:
    """Takes votes from any number of threads; all of its state is in the vote file."""

    def __init__(
        self, items: Sequence[Item], log: VoteLog, annotator: str, *, seed: int, now: Callable[[], str] = utc_now
    ) -> None:
        self._items = {item.id: item for item in items}
        self._log = log
        self._annotator = annotator
        self._seed = seed
        self._now = now
        self._lock = threading.Lock()
        self._winners: dict[str, str | None] = {}  # by item, the last vote last
        for row in log.rows:
            if row["annotator"] == annotator and row.get("item") in self._items:
                self._note(row["item"], row["winner"])

    def state(self) -> SessionState:
        """What the page shows: progress, the next item, and the item that undo would take back."""
        with self._lock:
            return self._state()

    def vote(self, item: str, winner: str) -> SessionState:
        """Record a vote, or take one back with `undo`, and return the new state.

        The same vote again, as when its confirmation was lost, writes nothing. Another vote on the same item replaces
        the first, which stays in the file.

        Raises:
            PipelineError: there is no such item or choice.
            OSError: the file cannot be written; nothing has changed.
        """
        if item not in self._items:
            raise PipelineError(f"no item {item!r} here: the items have changed. Reload the page.")
        if winner not in (*WINNERS, UNDO):
            raise PipelineError(f"winner is {winner!r}; it must be one of {', '.join((*WINNERS, UNDO))}.")
        with self._lock:
            if self._winners.get(item, UNDO) != winner:
                self._log.append(self._row(self._items[item], winner))
                self._note(item, winner)
            return self._state()

    def _note(self, item: str, winner: str | None) -> None:
        self._winners.pop(item, None)
        if winner != UNDO:
            self._winners[item] = winner

    def _row(self, item: Item, winner: str) -> VoteRow:
        """A line of the vote file, complete in itself: it has the texts of the item, too."""
        order = item.order_for(self._annotator, self._seed)
        first, second = (0, 1) if order == "ab" else (1, 0)
        return {
            "item": item.id,
            "prompt": item.prompt,
            "response_a": item.responses[first],
            "response_b": item.responses[second],
            "response_a_ended": item.ended[first],
            "response_b_ended": item.ended[second],
            "winner": winner,
            "annotator": self._annotator,
            "order": order,
            "time": self._now(),
        }

    def _state(self) -> SessionState:
        following = next((item for item in self._items.values() if item.id not in self._winners), None)
        votes = list(self._winners.values())
        return {
            "annotator": self._annotator,
            "done": len(votes),
            "total": len(self._items),
            "ties": votes.count("tie"),
            "skipped": votes.count("skip"),
            "previous": next(reversed(self._winners), None),
            "item": self._shown(following) if following else None,
        }

    def _shown(self, item: Item) -> ShownItem:
        row = self._row(item, UNDO)
        first: ShownResponse = {"text": row["response_a"], "ended": row["response_a_ended"]}
        second: ShownResponse = {"text": row["response_b"], "ended": row["response_b_ended"]}
        return {"id": item.id, "prompt": item.prompt, "responses": [first, second]}
