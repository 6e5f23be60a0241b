"""Who won a comparison, in the words that can be read in one way only."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from pipeline.reading.chats import Unreadable
from pipeline.reading.sides import NOUN, numbers_of, parts_of, tags_of
from pipeline.reading.votes import Verdict, Vote

_TIES = {"tie", "tie (bothbad)", "both", "bothbad", "neither", "equal", "similar", "draw", "same", "a tie", "a draw"}
NO_VERDICTS = {"skip": "skipped", "undo": "undone"}
"""Words of the labelling page that are no verdict, with the reason that is counted."""
_ADVERB = r"(?:a|bit|clearly|definitely|far|little|lot|marginally|much|significantly|slightly|somewhat|strongly|way)"
_WINS = (
    rf"(?:(?:is[\s_-]+)?(?:{_ADVERB}[\s_-]+)*(?:better|best|preferred|superior)"
    r"|wins|won|beats|is[\s_-]+the[\s_-]+winner)"
)
_PREFERS = r"(?:i[\s_-]+)?(?:prefer|choose|chose|pick)"
_WHY = r"(?P<why>[\s,;:(–—-]+(?:because|since)\b.*)"
_FREE_TEXT = re.compile(
    rf"(?P<noun>{NOUN})[\s_-]*(?P<tag>[ab]|\d+)\s*(?=$|[.,;:(–—-]|because\b|since\b)(?!\W*\d)", re.IGNORECASE
)
"""A verdict with its reasons behind it: `Text 2, because ...`, but not `Response 1: 3, Response 2: 5`."""
_REASON = re.compile(r"\W*(?:\.|(?:but )?(?:only |mainly )?(?:because|since|as|for|due)\b)", re.IGNORECASE)
_REJECTS = (
    r"errors?|mistakes?|hallucinat\w*|discard\w*|reject\w*|dropped|verbose|rambl\w*|unhelpful|mislead\w*|harmful|unsafe"
    r"|ma(?:kes?|de) up|refus(?:es|ed|al)|loser"
)
_REJECTED = re.compile(rf"\b(?:{_REJECTS})\b", re.IGNORECASE)
_FAULT = re.compile(
    rf"\b(?:{_REJECTS}|worse|worst|wrong|incorrect|bad|poor|false|fails?|loses|lost|not (?:as )?good)\b", re.IGNORECASE
)
_FIRST_WORDS = 6
"""A fault among these is said of the response that is named."""
_READ_FOR_FAULTS = 2000
"""Characters of the reasons; what rejects a response among them is said of the named one, unless the other is, too."""
_NAMED = re.compile(rf"\b{NOUN}[\s_-]*(?:[ab]|\d+)\b", re.IGNORECASE)
_NAMES_OTHER = re.compile(
    rf"{_NAMED.pattern}|\b(?:(?:first|second|1st|2nd|other|former|latter)\s+(?:one|{NOUN})|the other)\b", re.IGNORECASE
)
_OTHER_TOPIC = re.compile(rf"{_NAMED.pattern}\s*:|\b(?:unlike|winner|verdict|overall|wins)\b", re.IGNORECASE)
"""A heading of the next response, or a verdict further on."""
_ORDER = re.compile(r"([ab])\s*(>+|<+|=+)\s*([ab])", re.IGNORECASE)


class Undeclared:
    """A value that may mean one thing or another; it is no verdict, whatever it looks like."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        return str(self.value)


def read_verdict(value: Any, columns: tuple[str, str] | None = None) -> Verdict | None:
    """a, b or tie of a word that leaves nothing open; None of everything else, numbers and truth values among them.

    Clear are letters (`A`, `(b)`, `A.`), names with a letter or a number (`model_a`, `Response 2`), first, second, the
    usual words for a tie, an order (`A>B`), a sentence that says no more (`A is better than B`, `B wins`), and a text
    that begins with such a name, as in "Text 1, because ...".

    Args:
        columns: of both responses, where they have names of their own: a tag then is the one in which the names differ.
            Of `response_0` and `response_1`, `response_1` is the second; of `left` and `right`, `right` is.
    """
    named = _named(value, columns)
    return "tie" if named == "tie" else tags_of(columns).get(named) if named else None


def usual_number(value: Any, columns: tuple[str, str] | None) -> int | None:
    """The number by which a value names a response where no column has one: `Response 1` may count from 0 or from 1."""
    named = _named(value, columns)
    return int(named) if named and named.isdigit() and not numbers_of(columns) else None


def _named(value: Any, columns: tuple[str, str] | None) -> str | None:
    """The tag of the response that a word names, or `tie`."""
    return _tag_in(value, columns) if isinstance(value, str) else None


@lru_cache(maxsize=1024)
def _tag_in(value: str, columns: tuple[str, str] | None) -> str | None:
    # a run of spaces would be gone through once for each part of a name
    text = " ".join(value.split()) if "  " in value else value.strip()
    word = text.strip("()[]").strip().casefold()
    if {word, word.rstrip(".! "), text.casefold()} & _TIES:
        return "tie"
    tags = tags_of(columns)
    if order := _ORDER.fullmatch(word):
        return _of_order(order)
    if found := _grammar(columns).fullmatch(text.strip("()[]").strip()):
        groups = {name: tag for name, tag in found.groupdict().items() if tag}
        who, other = _plain(groups["tag"]), _plain(groups.get("other", ""))
        bare = who.isdigit() and groups.keys() <= {"tag"}
        both = not other or {tags.get(who), tags.get(other)} == {"a", "b"}
        why = groups.get("why", "")
        said = "wins" in groups or "prefers" in groups
        return who if both and not bare and not _OTHER_TOPIC.search(why) and (said or not _rejects(why)) else None
    found = _with_reasons(text)
    return found["tag"].casefold() if found else None


def _plain(tag: str) -> str:
    return "".join(parts_of(tag))


@lru_cache(maxsize=256)
def _grammar(columns: tuple[str, str] | None) -> re.Pattern[str]:
    """A name of a response, alone or in a sentence that says that it is the better one."""
    tags = "|".join(["[a-z]", r"\d+", *(_loose(tag) for tag in tags_of(columns) if len(tag) > 1)])
    noun = rf"{NOUN}|a(?=[\s_-]*\d)"

    def name(group: str) -> str:
        return (
            rf"(?:the[\s_-]+)?(?:(?P<noun_of_{group}>{noun})[\s_-]*)?(?P<{group}>{tags})"
            rf"(?:(?<=\w\w)[\s_-]+(?P<noun_after_{group}>{NOUN}))?"
        )

    wins = rf"[\s_-]+(?P<wins>{_WINS})(?:[\s_-]+(?:(?:than|over|to)[\s_-]+)?{name('other')})?"
    prefers = rf"(?P<prefers>{_PREFERS})[\s_-]+"
    return re.compile(rf"(?:{prefers})?[(\[]*{name('tag')}[)\]]*(?:{wins})?(?:[.!]?|{_WHY})", re.IGNORECASE | re.DOTALL)


def _loose(tag: str) -> str:
    """`gpt4` as it is written, `GPT-4` among others."""
    return r"[\s_.-]*".join(map(re.escape, tag))


def _with_reasons(text: str) -> re.Match[str] | None:
    """A verdict before its reasons; not a remark on a response, as `Response B - incorrect`, nor a list of remarks."""
    found = _FREE_TEXT.match(text)
    if found is None:
        return None
    rest = text[found.end() :]
    if _rejects(rest):
        return None
    if _REASON.match(text[found.end("tag") :]):
        return found
    blames = _FAULT.search(" ".join(rest[:200].split()[:_FIRST_WORDS])) and not _NAMED.search(rest)
    return None if blames or _OTHER_TOPIC.search(rest) else found


def _rejects(reasons: str) -> bool:
    """Whether reasons that name no other response say of the named one that it was rejected, and not that it won."""
    return bool(_REJECTED.search(reasons[:_READ_FOR_FAULTS]) and not _NAMES_OTHER.search(reasons))


def _of_order(order: re.Match[str]) -> str | None:
    one, sign, other = order[1], order[2][0], order[3]
    if one == other:
        return None
    return "tie" if sign == "=" else one if sign == ">" else other


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
