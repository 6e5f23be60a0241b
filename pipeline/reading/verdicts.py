"""Who won a comparison, in the words that can be read in one way only."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.reading.chats import Unreadable

Verdict = Literal["a", "b", "tie"]

_TIES = {"tie", "tie (bothbad)", "both", "bothbad", "neither", "equal", "similar", "draw", "same"}
_ORDINALS: dict[str, Verdict] = {"first": "a", "second": "b"}
NO_VERDICTS = {"skip": "skipped", "undo": "undone"}
"""Words of the labelling page that are no verdict, with the reason that is counted."""
_OTHER: dict[Verdict, Verdict] = {"a": "b", "b": "a", "tie": "tie"}
_NOUN = r"(?:text|response|answer|option|output|model|assistant|completion|candidate|prediction|conversation)"
_NAME = re.compile(rf"(?:(?P<noun>{_NOUN}|a)[\s_-]*)?(?P<tag>[ab]|\d+)", re.IGNORECASE)
_FREE_TEXT = re.compile(
    rf"(?P<noun>{_NOUN})[\s_-]*(?P<tag>[ab]|\d+)\s*(?=$|[.,;:(–—-]|because\b|since\b)(?!\W*\d)", re.IGNORECASE
)
"""A verdict with its reasons behind it: `Text 2, because ...`, but not `Response 1: 3, Response 2: 5`."""
_REASON = re.compile(r"\W*(?:\.|(?:but )?(?:only |mainly )?(?:because|since|as|for|due)\b)", re.IGNORECASE)
_FAULT = re.compile(
    r"\b(?:worse|worst|wrong|incorrect|bad|poor|false|fails?|loses|lost|not (?:as )?good)\b", re.IGNORECASE
)
_FIRST_WORDS = 6
"""A fault among these is said of the response that is named."""
_NAMED = re.compile(rf"\b{_NOUN}[\s_-]*(?:[ab]|\d+)\b", re.IGNORECASE)
_OTHER_TOPIC = re.compile(rf"{_NAMED.pattern}\s*:|\b(?:unlike|winner|verdict|overall|wins)\b", re.IGNORECASE)
"""A heading of the next response, or a verdict further on."""
_ORDER = re.compile(r"([ab])\s*(>+|<+|=+)\s*([ab])", re.IGNORECASE)
_END = re.compile(r"(?:(?:^|[\W_])[abAB]|(?<=[a-z])[AB]|\d+)$")
_LETTERS: dict[str, Verdict] = {"a": "a", "b": "b"}
_NUMBERS: dict[str, Verdict] = {"1": "a", "2": "b"}


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


class Undeclared:
    """A value that may mean one thing or another; it is no verdict, whatever it looks like."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        return str(self.value)


def read_verdict(value: Any, columns: tuple[str, str] | None = None) -> Verdict | None:
    """a, b or tie of a word that leaves nothing open; None of everything else, numbers and truth values among them.

    Clear are letters (`A`, `(b)`), names with a letter or a number (`model_a`, `Response 2`), first, second, the usual
    words for a tie, an order (`A>B`), and a text that begins with such a name, as in "Text 1, because ...".

    Args:
        columns: of both responses, where they have names of their own: a letter or a number then is the one at the
            end of a name. Of `response_0` and `response_1`, `response_1` is the second.
    """
    if not isinstance(value, str):
        return None
    text = value.strip()
    word = text.strip("()[]").strip().casefold()
    if word in _TIES or text.casefold() in _TIES:
        return "tie"
    tags = tags_of(columns)
    if word in _ORDINALS:
        return _ORDINALS[word] if tags.get("a") == "a" else None
    if order := _ORDER.fullmatch(word):
        return _of_order(order, tags)
    found = _NAME.fullmatch(word) or _with_reasons(text)
    if found is None or (found["noun"] is None and found["tag"].isdigit()):
        return None
    return tags.get(found["tag"].casefold())


def _with_reasons(text: str) -> re.Match[str] | None:
    """A verdict before its reasons; not a remark on a response, as `Response B - incorrect`, nor a list of remarks."""
    found = _FREE_TEXT.match(text)
    if found is None:
        return None
    rest = text[found.end() :]
    if _REASON.match(text[found.end("tag") :]):
        return found
    blames = _FAULT.search(" ".join(rest[:200].split()[:_FIRST_WORDS])) and not _NAMED.search(rest)
    return None if blames or _OTHER_TOPIC.search(rest) else found


def _of_order(order: re.Match[str], tags: dict[str, Verdict]) -> Verdict | None:
    one, sign, other = order[1], order[2][0], order[3]
    if one == other:
        return None
    return "tie" if sign == "=" else tags.get(one if sign == ">" else other)


def tags_of(columns: tuple[str, str] | None) -> dict[str, Verdict]:
    """Letters and numbers that name a response: those at the ends of its columns, else a and b, 1 and 2.

    Where the columns are the other way round, as `response_b` before `response_a`, their own ends alone.
    """
    ends = column_ends(columns)
    if ends is None:
        return _LETTERS | _NUMBERS
    own: dict[str, Verdict] = {ends[0]: "a", ends[1]: "b"}
    if ends != tuple(sorted(ends, key=lambda end: (len(end), end))):
        return own
    return own | (_NUMBERS if ends[0] == "a" else _LETTERS)


def column_ends(columns: tuple[str, str] | None) -> tuple[str, str] | None:
    """`("0", "1")` of `response_0` and `response_1`; None where the names do not differ in such an end."""
    found = [_END.search(name.strip()) for name in columns or ()]
    ends = tuple(re.sub(r"[\W_]", "", end[0]).casefold() for end in found if end)
    if len(ends) < 2 or ends[0] == ends[1] or ends[0].isdigit() != ends[1].isdigit():
        return None
    return ends[0], ends[1]


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
