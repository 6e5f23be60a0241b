"""Who won a comparison, in the words people use for it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.reading.chats import Unreadable

Verdict = Literal["a", "b", "tie"]

_FIRST = {"a", "a1", "1", "model_a", "model_1", "response_a", "response_1", "output_1", "assistant_a", "first", "left"}
_SECOND = {
    "b", "a2", "2", "model_b", "model_2", "response_b", "response_2", "output_2", "assistant_b", "second", "right"
}  # fmt: skip
_TIES = {"tie", "tie (bothbad)", "both", "bothbad", "neither", "equal", "similar", "draw", "same", "0"}
NO_VERDICTS = {"skip": "skipped", "undo": "undone"}
"""Words of the labelling page that are no verdict, with the reason that is counted."""
_OTHER: dict[Verdict, Verdict] = {"a": "b", "b": "a", "tie": "tie"}
_FREE_TEXT = re.compile(r"(?:text|response|answer|option|output|model|assistant)\s*([12ab])\b", re.IGNORECASE)


@dataclass(frozen=True)
class Vote:
    """What one annotator said of two responses."""

    annotator: str
    verdict: Verdict
    """Of the responses in the order of the entry."""
    swapped: bool = False
    """The annotator saw them in the other order."""

    def reversed(self) -> "Vote":
        """The same vote on the responses in the other order."""
        return Vote(self.annotator, _OTHER[self.verdict], not self.swapped)


def read_verdict(value: Any) -> Verdict | None:
    """a, b or tie of how people write a winner; None for what says nothing.

    Numbers, also as texts, are those of AlpacaEval and PandaLM: 1 the first, 2 the second, 0 and 1.5 a tie. A free
    text counts when it begins with a verdict, as in "Text 1, because ...".
    """
    if isinstance(value, str):
        return _read_word(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float) or not (value == 0 or 1 <= value <= 2):
        return None
    return "tie" if value in (0, 1.5) else "a" if value < 1.5 else "b"


def _read_word(text: str) -> Verdict | None:
    word = text.strip("()[]").strip().casefold()
    if word in _TIES or text.casefold() in _TIES:
        return "tie"
    if word in _FIRST or word in _SECOND:
        return "a" if word in _FIRST else "b"
    if found := _FREE_TEXT.match(text):
        return "a" if found[1].casefold() in ("1", "a") else "b"
    try:
        return read_verdict(float(word))
    except ValueError:
        return None


def majority(votes: Sequence[Vote]) -> Literal["a", "b"]:
    """The response that more annotators preferred; annotators who saw a tie count against both.

    Raises:
        Unreadable: there is no vote, or no majority for one of the responses.
    """
    counts = Counter(vote.verdict for vote in votes)
    if not votes:
        raise Unreadable("unreadable_verdict")
    if counts["a"] == counts["b"] or counts["tie"] > max(counts["a"], counts["b"]):
        raise Unreadable("tie")
    return "a" if counts["a"] > counts["b"] else "b"


def agreement(votes: Sequence[Vote]) -> Literal["a", "b"]:
    """The response that every vote prefers, as a judge's two games with the responses in both orders.

    Raises:
        Unreadable: a vote is a tie, or two differ (Zheng et al. 2023, arXiv:2306.05685, section 3.4).
    """
    verdicts = {vote.verdict for vote in votes}
    if verdicts == {"a"}:
        return "a"
    if verdicts == {"b"}:
        return "b"
    raise Unreadable("tie" if "tie" in verdicts else "games_disagree")
