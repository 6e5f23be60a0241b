"""What a column says of a decision: a verdict, a code that may be one, or nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.codings import Decoder
from pipeline.reading.opinions.decisions import Decision, Decisions, OfLayout, OfList, OfOne, OfTwo, as_truth
from pipeline.reading.opinions.held import AGREES, DENIES_A, DENIES_B, DISAGREES
from pipeline.reading.opinions.names import (
    has_words_of_its_own,
    is_rank,
    is_score,
    names_loser,
    says_agreement,
    says_wanted,
    side_that_won,
)
from pipeline.reading.response_lists import place_of
from pipeline.reading.sides import own_tags, parts_of
from pipeline.reading.verdicts import Undeclared, read_verdict
from pipeline.reading.written_messages import structure

Claim = Callable[[Decision], str | None]
_LONGEST = 60
"""Characters of a word that may be a code."""
_OPPOSITE = {"a": "b", "b": "a"}
BY_NUMBER: tuple[Mapping[str, str], ...] = tuple(
    {f"{zero}{one}": (zero, one)[start] for zero in "ab" for one in "ab"} for start in (0, 1)
)
"""What places in a list may say: each code is what a place says that is counted from 0, and from 1."""
BY_ORDER: tuple[Mapping[str, str], ...] = ({"higher": "a", "lower": "b"}, {"higher": "b", "lower": "a"})
LOWEST, HIGHEST = BY_ORDER[1:], BY_ORDER[:1]


def value_at(row: Mapping[str, Any], name: str) -> Any:
    """What a column holds, or, for a name such as `meta.preferred`, a key of an object in it."""
    if name in row:
        return row[name]
    column, _, key = name.partition(".")
    found = structure(row.get(column))
    return found.get(key) if isinstance(found, Mapping) else None


def is_empty(value: Any) -> bool:
    """Nothing, or a text of spaces."""
    return value is None or (isinstance(value, str) and not value.strip())


def claim_of(name: str, data: Data, decisions: Decisions) -> Claim:
    """What a column says of the decisions of a source."""
    if isinstance(decisions, OfTwo):
        takes_codes = decisions.columns != (data.columns.chosen, data.columns.rejected)
        return _of_two(name, data, decisions.columns, decisions.models, takes_codes=takes_codes)
    if isinstance(decisions, OfLayout):
        return _of_two(name, data, decisions.columns, [], takes_codes=decisions.columns[0] == "response_a")
    if isinstance(decisions, OfList):
        return _of_list(name, data)
    return _of_one(name) if isinstance(decisions, OfOne) else _of_prompt(name)


def _of_two(name: str, data: Data, sides: tuple[str, str], models: Sequence[str], *, takes_codes: bool) -> Claim:
    columns = data.columns.model_copy(update={"response_a": sides[0], "response_b": sides[1]})
    coding = type(data.winner_coding)(first=None, second=None, tie=None, skip=None)
    decoder = Decoder(data.model_copy(update={"winner_coding": coding, "columns": columns}))
    tags = set(own_tags(sides))
    if side := side_that_won(name, sides):
        return lambda one: {True: side, False: DENIES_A if side == "a" else DENIES_B, None: None}[
            as_truth(value_at(one.row, name))
        ]
    if says_agreement(name):
        return lambda one: {True: AGREES, False: DISAGREES, None: None}[as_truth(value_at(one.row, name))]

    def claim(one: Decision) -> str | None:
        value = value_at(one.row, name)
        if is_empty(value) or isinstance(value, list | dict):
            return None
        if not takes_codes and value not in one.texts and not tags & set(parts_of(str(value))):
            return None
        said = decoder.verdict(value, one.texts, [one.row.get(model) for model in models])
        if verdict := None if isinstance(said, Undeclared) else read_verdict(said):
            return _OPPOSITE.get(verdict, verdict) if names_loser(name) else verdict
        words = has_words_of_its_own(name) and len(str(value)) <= _LONGEST
        is_code = isinstance(value, bool) or code_number(value) is not None or words
        return plain_code(value) if is_code and takes_codes else None

    return claim


def of_both(names: Sequence[str]) -> Claim:
    """What two columns with a rank of each of two responses say."""

    def claim(one: Decision) -> str | None:
        return _order(*(value_at(one.row, name) for name in names))

    return claim


def _order(first: Any, second: Any) -> str | None:
    """Which of two is higher; also of two words, as good and bad are, which have no order of their own."""
    if is_empty(first) or is_empty(second) or isinstance(first, list | dict) or isinstance(second, list | dict):
        return None
    numbers = [float(one) if isinstance(one, bool) else code_number(one) for one in (first, second)]
    one, other = (plain_code(first), plain_code(second)) if None in numbers else numbers
    return None if one == other else "higher" if one > other else "lower"  # type: ignore[operator]


def _of_prompt(name: str) -> Claim:
    def claim(one: Decision) -> str | None:
        best, worst = value_at(one.row, name), value_at(one.other, name)
        truths = [as_truth(value) if says_wanted(name) or names_loser(name) else None for value in (best, worst)]
        if None not in truths:
            right = truths[0] is not names_loser(name)
            return None if truths[0] == truths[1] else "a" if right else "b"
        return _order(best, worst)

    return claim


def _of_one(name: str) -> Claim:
    def claim(one: Decision) -> str | None:
        value = value_at(one.row, name)
        if is_empty(value) or isinstance(value, list | dict) or len(str(value)) > _LONGEST:
            return None
        truth = as_truth(value)
        if truth is not None and (says_wanted(name) or names_loser(name)):
            return "a" if truth is not names_loser(name) else "b"
        return None if isinstance(value, float) and not value.is_integer() else plain_code(value)

    return claim


def _of_list(name: str, data: Data) -> Claim:
    loses = names_loser(name)

    def said(place: int, one: Decision) -> str:
        return "a" if (place in one.best) is not loses else "b"

    def claim(one: Decision) -> str | None:
        value = structure(value_at(one.row, name))
        if isinstance(value, list):
            return _of_numbers(value, one) if is_rank(name) or is_score(name) else None
        place = place_of(value, one.texts, data.first_index)
        if isinstance(place, int):
            return said(place, one)
        number = code_number(value)
        if number is None or number != int(number) or not 0 <= number <= len(one.texts):
            return None
        return said(int(number), one) + said(int(number) - 1, one)

    return claim


def _of_numbers(values: list[Any], one: Decision) -> str | None:
    """Whether the best response has the highest of these, or the lowest."""
    numbers = [code_number(value) for value in values]
    if len(numbers) != len(one.texts) or None in numbers or len(set(numbers)) < 2:
        return None
    best = {number for at, number in enumerate(numbers) if at in one.best}
    return "higher" if max(numbers) in best else "lower" if min(numbers) in best else DISAGREES  # type: ignore[type-var]
