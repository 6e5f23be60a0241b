"""Several responses in one cell, with what names the best of them: scores, ranks, or the best one itself."""

import re
from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

from pipeline.params.codings import code_number
from pipeline.reading.chats import Unreadable
from pipeline.reading.record import Record
from pipeline.reading.responses import read_number, read_responses
from pipeline.reading.rows import Row
from pipeline.reading.sides import NOUN
from pipeline.reading.styles import Style
from pipeline.reading.verdicts import NO_VERDICTS, Undeclared, read_verdict
from pipeline.reading.written_messages import structure

_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_ORDER = {word: place for words in (_ORDINALS, ascii_lowercase) for place, word in enumerate(words)}
_NAMED = re.compile(
    rf"(?:the\s+)?(?:{NOUN}[\s_-]*)?(?P<name>[a-z]|\d+|{'|'.join(_ORDINALS)})(?:(?<=\w\w)[\s_-]+{NOUN})?", re.IGNORECASE
)
_TEXTS = ("response", "text", "content")
SCORED_BY = ("score", "rating", "overall_score")
"""Keys of the score of a response."""


def open_list(value: Any) -> tuple[list[Any], list[Any] | None]:
    """Responses, and their scores where they are objects that have some.

    Raises:
        Unreadable: it is not a list of two or more responses.
    """
    found = structure(value)
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) < 2:
        raise Unreadable("fewer_than_two_responses", value)
    if not all(isinstance(one, Mapping) for one in found):
        return list(found), None
    scores = [_first(one, *SCORED_BY) for one in found]
    texts = [_first(one, *_TEXTS) for one in found]
    return texts, scores if any(score is not None for score in scores) else None


def _first(entry: Row, *keys: str) -> Any:
    return next((entry[key] for key in keys if entry.get(key) is not None), None)


def place_of(value: Any, responses: Sequence[Any], first_index: int | None) -> Any:
    """Where the response that a value names stands in a list, from 0; tie or skip; else `Undeclared` or the value.

    Clear are the text of one response, a letter, and first to fifth; a number is where `first_index` says what the
    first has, and where it is no text of a response.
    """
    if value is None:
        return None
    if isinstance(value, str) and (value.strip() in NO_VERDICTS or not value.strip()):
        return value.strip()
    places = {at for at, response in enumerate(responses) if isinstance(value, str) and response == value}
    name = _name(value)
    if (number := code_number(name)) is not None:
        if first_index is None:
            return Undeclared(value)
        places.add(int(number) - first_index if number == int(number) else -1)
    elif (by_name := _ORDER.get(name)) is not None and by_name < len(responses):
        places.add(by_name)
    if not places:
        return "tie" if read_verdict(value) == "tie" else value if isinstance(value, str) else Undeclared(value)
    (place, *others) = places
    return Undeclared(value) if others or not 0 <= place < len(responses) else place


def _name(value: Any) -> str:
    """`b` of `Response B`, and 2 of `response_2`."""
    if isinstance(value, str) and (found := _NAMED.fullmatch(value.strip())):
        return found["name"].casefold()
    return "" if isinstance(value, str | bool) and code_number(value) is None else str(value)


def read_list(row: Row, style: Style) -> tuple[list[Record], int]:
    """The best over the worst of a list with scores or ranks; where only the best is known, it over each other one.

    Returns:
        The pairs, and how many responses of the list are in none.

    Raises:
        Unreadable: with the reason; also where scores, ranks and the best one contradict each other.
    """
    responses, most, least, ranked = _ends_of(row)
    prompt, *texts = read_responses(row, style, *responses)
    rejected = [min(least)] if ranked else sorted(least)
    pairs: list[Record] = [{"prompt": prompt, "chosen": texts[min(most)], "rejected": texts[at]} for at in rejected]
    return pairs, len(responses) - 1 - len(pairs)


def places_of_best(row: Row) -> frozenset[int]:
    """Indices, from 0, of the best response of a list; of several, where they are equally good.

    Raises:
        Unreadable: as `read_list`.
    """
    return frozenset(_ends_of(row)[1])


def _ends_of(row: Row) -> tuple[list[Any], set[int], set[int], bool]:
    """The responses of a list, the places of the best and of the worst, and whether all have a score or a rank."""
    responses, own_scores = open_list(row["responses"])
    ranks, best = structure(row.get("rank")), _best(row.get("winner"))
    numbered = ((own_scores, 1.0), (structure(row.get("scores")), 1.0), (ranks, -1.0))
    given = [(numbers, sign) for numbers, sign in numbered if numbers is not None]
    ends = [_ends(_numbers(numbers, len(responses)), sign) for numbers, sign in given]
    if not ends and best is None:
        raise Unreadable("no_score_for_every_response", row.get("scores"))
    if best is not None:
        others = set(range(len(responses)))
        ends.append((others, others) if best == "tie" else ({best}, others - {best}))
    seen = {name: row[name] for name in ("scores", "rank", "winner") if row.get(name) is not None}
    if len({most == least for most, least in ends}) > 1:
        raise Unreadable("verdicts_contradict", seen)
    if ends[0][0] == ends[0][1]:
        raise Unreadable("tie", seen or own_scores)
    most, least = (set.intersection(*(end[side] for end in ends)) for side in (0, 1))
    if not most or not least:
        raise Unreadable("verdicts_contradict", seen)
    return responses, most, least, bool(given)


def _best(value: Any) -> Any:
    """A place, tie, or None of a row that does not say it."""
    if value is None or value == "":
        return None
    if isinstance(value, Undeclared):
        raise Unreadable("undeclared_winner", value.value)
    if isinstance(value, str) and value != "tie":
        raise Unreadable(NO_VERDICTS.get(value, "unreadable_verdict"), value)
    return value


def _numbers(values: Any, count: int) -> list[float]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        raise Unreadable("no_score_for_every_response", values)
    return [read_number(value) for value in values]


def _ends(numbers: Sequence[float], sign: float) -> tuple[set[int], set[int]]:
    """The places of the best, and of the worst; both the same where all are equal."""
    signed = [sign * number for number in numbers]
    most, least = max(signed), min(signed)
    return {at for at, one in enumerate(signed) if one == most}, {at for at, one in enumerate(signed) if one == least}
