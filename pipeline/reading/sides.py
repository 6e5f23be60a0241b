"""Which of two columns a word names: by the letters, numbers or words in which their names differ."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations, permutations
from typing import Literal

Side = Literal["a", "b"]
NOUN = r"(?:text|response|answer|option|output|model|assistant|completion|candidate|prediction|conversation)"
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_FAMILIES = (
    ("letter", re.compile(r"[a-z]"), (("a", "b"),)),
    ("number", re.compile(r"\d+"), (("0", "1"), ("1", "2"))),
    ("ordinal", re.compile(r"first|second|third"), (("first", "second"),)),
    ("place", re.compile(r"left|right|center|middle"), (("left", "right"),)),
)
"""Kinds of tags that have an order, each with the two that come first."""
_USUAL: dict[str, dict[str, Side]] = {
    "letter": {"a": "a", "b": "b"},
    "number": {"1": "a", "2": "b"},
    "ordinal": {"first": "a", "second": "b"},
}
"""What tags mean where no column has one of their kind."""
_MODELS = frozenset({"model", "models", "system", "generator", "assistant", "bot", "agent", "llm", "engine", "policy"})
_RESPONSES = frozenset({"response", "answer", "output", "completion", "candidate", "prediction", "conversation"})
_SAID = {"score": {"score", "rating", "reward"}, "votes": {"votes", "upvotes"}, "rank": {"rank", "ranking"}}
_OF_SCORES = {"overall", "mean", "avg", "average", "judge", "model", "quality", "gpt"}
_MODEL_WORDS = _MODELS | {"name", "id", "response", "answer", "output", "completion", "conversation"}


def parts_of(name: str) -> list[str]:
    """`["response", "a"]` of `response_a`, `Response A` and `responseA`; numbers without leading zeros."""
    found = (part.casefold() for part in _PART.findall(name))
    return [part.lstrip("0") or "0" if part.isdigit() else part for part in found]


def own_tags(columns: tuple[str, str]) -> tuple[str, str]:
    """`("0", "1")` of `response_0` and `response_1`, `("left", "right")` of `left_text` and `right_text`.

    Empty for a name whose parts the other has, too, as the first of `response`, `response_2`. Where the rest differs,
    as in `response_a` and `answer_b`, it is the last parts alone if these are of one kind.
    """
    one, other = (parts_of(name) for name in columns)
    if {*one[:1], *other[:1]} == {"column"}:  # of a table without names
        return "", ""
    tags = tuple("".join(part for part in mine if part not in theirs) for mine, theirs in ((one, other), (other, one)))
    if one and other and _kind(tags[0]) is None and one[-1] != other[-1]:
        kinds = _kind(one[-1]), _kind(other[-1])
        if kinds[0] == kinds[1] and kinds[0] is not None:
            return one[-1], other[-1]
    return tags[0], tags[1]


def _kind(tag: str) -> str | None:
    return next((kind for kind, pattern, _ in _FAMILIES if pattern.fullmatch(tag)), None)


def _begin(tags: tuple[str, str]) -> bool:
    """Whether two tags come first of their kind, in this order; one may be missing, as in `response`, `response_2`."""
    kind = _kind(tags[0]) or _kind(tags[1])
    if kind is None:
        return True
    openings = next(openings for name, _, openings in _FAMILIES if name == kind)
    return any(all(mine in ("", tag) for mine, tag in zip(tags, opening, strict=True)) for opening in openings)


@lru_cache(maxsize=256)
def tags_of(columns: tuple[str, str] | None) -> dict[str, Side]:
    """What names a response: the tags of its columns, and of the kinds that these do not have the usual ones.

    Where the columns do not come first of their kind, as `response_b` before `response_a`, or `response_2` and
    `response_3`, their own tags alone.
    """
    tags = own_tags(columns) if columns else ("", "")
    own: dict[str, Side] = {tags[1]: "b", tags[0]: "a"} if tags[0] != tags[1] else {}
    own.pop("", None)
    if not _begin(tags):
        return own
    taken = {_kind(tag) for tag in tags}
    return {tag: side for kind, usual in _USUAL.items() if kind not in taken for tag, side in usual.items()} | own


def numbers_of(columns: tuple[str, str] | None) -> tuple[str, str] | None:
    """The numbers of both columns, where both have one."""
    tags = own_tags(columns) if columns else ("", "")
    return tags if tags[0] != tags[1] and all(_kind(tag) == "number" for tag in tags) else None


def response_columns(names: Sequence[str]) -> list[str]:
    """The only two columns that are a first and a second response by their names, as `completion_a`, `completion_b`.

    None where there are more, or others of their kind.
    """
    named = [name for name in names if _names_a_response(name)]
    tags = {name: next(part for part in parts_of(name) if _kind(part)) for name in named}
    found = [two for two in permutations(named, 2) if _begin((tags[two[0]], tags[two[1]]))]
    return list(found[0]) if len(named) == 2 and len(found) == 1 else []


def named_sides(names: Sequence[str]) -> tuple[str, str] | None:
    """The only two columns that are called alike but for a first and a second tag, in their order, as A and B are."""
    found = [
        two
        for two in permutations(names, 2)
        if (tags := own_tags(two))[0] != tags[1] and _kind(tags[0]) == _kind(tags[1]) is not None and _begin(tags)
    ]
    rest = [[part for part in parts_of(name) if _kind(part) is None] for name in names]
    alone = len(found) == 1 and rest.count([part for part in parts_of(found[0][0]) if _kind(part) is None]) == 2
    return found[0] if alone else None


def number_pairs(names: Sequence[str], responses: tuple[str, str]) -> list[tuple[str, str]]:
    """Two columns each that are called alike but for the tags of both responses, in the order of these."""
    return [two for pair in combinations(names, 2) for two in _in_order_of(responses, pair)]


def _names_a_response(name: str) -> bool:
    parts = parts_of(name)
    words = [part for part in parts if _kind(part) is None]
    tags = [part for part in parts if _kind(part) is not None]
    return len(tags) == 1 and (set(words) <= _RESPONSES if words else _kind(tags[0]) == "place")


def model_columns(names: Sequence[str], responses: tuple[str, str]) -> list[str]:
    """The columns that say which model wrote the first and the second response, such as `model_a` and `model_b`.

    None where there are several such pairs, or one whose order is another than that of the responses.
    """
    named = [name for name in names if name not in responses and _names_a_model(name)]
    found = [list(two) for pair in combinations(named, 2) for two in _in_order_of(responses, pair)]
    return found[0] if len(found) == 1 else []


def _names_a_model(name: str) -> bool:
    words = [part for part in parts_of(name) if _kind(part) is None]
    return (
        bool(words)
        and words[-1] in _MODELS | {"name", "id"}
        and set(words) <= _MODEL_WORDS
        and bool(_MODELS & set(words))
    )


def numbers_of_sides(names: Sequence[str], responses: tuple[str, str]) -> list[str]:
    """The columns of the numbers by which both responses can be compared: scores, else votes, else ranks."""
    kinds: tuple[Literal["score", "votes", "rank"], ...] = ("score", "votes", "rank")
    return next((found for kind in kinds if (found := columns_of_sides(kind, names, responses))), [])


def columns_of_sides(
    kind: Literal["score", "votes", "rank"], names: Sequence[str], responses: tuple[str, str]
) -> list[str]:
    """The first two columns with a score, or a rank, of both responses in their order, such as `rank_a`, `rank_b`."""
    known = _known(kind, responses)
    named = [name for name in names if _SAID[kind] & set(parts_of(name)) and set(parts_of(name)) <= known]
    return next((list(two) for pair in combinations(named, 2) for two in _in_order_of(responses, pair)), [])


def _known(kind: str, responses: tuple[str, str]) -> set[str]:
    """Parts that names of such columns may have."""
    tags = {tag for _, _, openings in _FAMILIES for opening in openings for tag in opening}
    return _SAID[kind] | tags | {part for name in responses for part in parts_of(name)} | _RESPONSES | _OF_SCORES


def _in_order_of(responses: tuple[str, str], pair: tuple[str, str]) -> Iterator[tuple[str, str]]:
    known, tags = own_tags(responses), own_tags(pair)
    if not all(tags):
        return
    for two, own in ((pair, tags), (pair[::-1], tags[::-1])):
        kinds = _kind(known[0]), _kind(own[0]), _kind(own[1])
        other_kind = kinds[1] is not None and kinds[1] == kinds[2] != kinds[0]
        if own == known or (other_kind and _begin(known) and _begin(own)):
            yield two[0], two[1]
