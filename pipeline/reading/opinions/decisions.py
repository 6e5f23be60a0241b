"""Decisions that are read of a source, and what other columns may say of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.opinions import names as called
from pipeline.reading.opinions.words import as_word
from pipeline.reading.rows import Row
from pipeline.reading.samples import NumberedRow
from pipeline.reading.votes import Verdict
from pipeline.reading.written_messages import structure

Ways = Iterable[Mapping[str, str]]
"""What the codes of a column may mean: one of these."""
BY_ORDER: tuple[Mapping[str, str], ...] = ({"higher": "a", "lower": "b"}, {"higher": "b", "lower": "a"})
HIGHEST, _LOWEST = BY_ORDER[:1], BY_ORDER[1:]


class Field(NamedTuple):
    """A column, or a key of the objects in it, such as `preferred` in `meta`."""

    column: str
    keys: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """By which it is known what it says."""
        return self.keys[-1] if self.keys else self.column

    @property
    def path(self) -> str:
        """As users are told: `meta.preferred`."""
        return ".".join((self.column, *self.keys))

    def of(self, row: Row) -> Any:
        """What a row has there."""
        value = row.get(self.column)
        for key in self.keys:
            found = structure(value)
            value = found.get(key) if isinstance(found, Mapping) else None
        return value


class Decision(NamedTuple):
    """One of a source, with what other columns are held against."""

    number: int
    """Number of the row, from 1."""
    row: Row
    read: Verdict
    texts: Sequence[Any] = ()
    """The texts of both responses, or of the whole list."""
    best: frozenset[int] = frozenset()
    """Positions of the best responses in the list."""
    worst: Row = MappingProxyType({})
    """Where responses are in rows of their own, the row of the one that lost to that of `row`."""


Claim = Callable[[Decision], str | None]
"""What a column says of a decision: a verdict, a code that may be one, or nothing."""


class Decisions(ABC):
    """The decisions of a source, by its format."""

    by: list[str]
    """What says them, as users are told."""
    needed: list[str]
    """Columns that are read."""
    question = "which response is better"
    unit = "rows"
    by_any_name = True
    """A column of any name that nearly always says what is read is taken to be about the same."""

    @abstractmethod
    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        """The decisions of these rows."""

    @abstractmethod
    def is_called(self, name: str) -> bool:
        """Whether a column is called as one that says something of them."""

    def may_hold(self, name: str, values: Collection[str]) -> bool:
        """Whether these, some of a column that is called so, may say it."""
        return True

    @abstractmethod
    def claim(self, field: Field) -> Claim:
        """What a column says of each."""

    def ways(self, name: str) -> Ways | None:
        """What codes in it may mean; None for any verdict."""
        return None


def is_empty(value: Any) -> bool:
    """Nothing, a text of spaces, or a number that is none."""
    return value is None or (isinstance(value, str) and not value.strip()) or value != value


def order_of(first: Any, second: Any) -> str | None:
    """Which of two is the better one by words for good and bad, else whether the first is `higher` or `lower`.

    Other words go by their letters, which is an order, too, though it may mean either.
    """
    if any(is_empty(one) or isinstance(one, list | dict) for one in (first, second)):
        return None
    one, other = as_word(first), as_word(second)
    if one is not None and other is not None:
        return None if one == other else "a" if one else "b"
    numbers = [float(each) if isinstance(each, bool) else code_number(each) for each in (first, second)]
    if numbers[0] is not None and numbers[1] is not None:
        return None if numbers[0] == numbers[1] else "higher" if numbers[0] > numbers[1] else "lower"
    words = plain_code(first), plain_code(second)
    return None if words[0] == words[1] else "higher" if words[0] > words[1] else "lower"


def ways_of_order(name: str, data: Data) -> Ways:
    """What higher and lower numbers of a column may mean."""
    if called.is_rank(name):
        return {"lowest": _LOWEST, "highest": HIGHEST}.get(data.best_rank or "", BY_ORDER)
    return HIGHEST if called.is_score(name) else BY_ORDER
