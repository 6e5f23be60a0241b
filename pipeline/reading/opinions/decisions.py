"""Decisions that are read of a source, and what other columns may say of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.opinions import names as called
from pipeline.reading.samples import NumberedRow
from pipeline.reading.verdicts import Verdict
from pipeline.reading.written_messages import structure

Row = Mapping[str, Any]
Ways = Iterable[Mapping[str, str]]
"""What the codes of a column may mean: one of these."""
BY_ORDER: tuple[Mapping[str, str], ...] = ({"higher": "a", "lower": "b"}, {"higher": "b", "lower": "a"})
_HIGHEST, _LOWEST = BY_ORDER[:1], BY_ORDER[1:]
_TRUTHS = {"1": True, "0": False, "true": True, "false": False, "yes": True, "no": False}


class Decision(NamedTuple):
    """One of a source, with what other columns are held against."""

    number: int
    """Of its row, from 1."""
    row: Row
    read: Verdict
    texts: Sequence[Any] = ()
    """Of both responses, or of the whole list."""
    best: frozenset[int] = frozenset()
    """Places in the list."""
    worst: Row = MappingProxyType({})
    """Of responses in rows of their own: that of the one that lost to the one of `row`."""


Claim = Callable[[Decision], str | None]
"""What a column says of a decision: a verdict, a code that may be one, or nothing."""


class Decisions(ABC):
    """Those of a source, by its format."""

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
        """Those of these rows."""

    @abstractmethod
    def is_called(self, name: str) -> bool:
        """Whether a column is called as one that says something of them."""

    def may_hold(self, values: Collection[str]) -> bool:
        """Whether these, of a column that is called so, may say it."""
        return True

    @abstractmethod
    def claim(self, name: str) -> Claim:
        """What a column says of each."""

    def ways(self, name: str) -> Ways | None:
        """What codes in it may mean; None for any verdict."""
        return None


def value_at(row: Row, name: str) -> Any:
    """What a column holds, or, for a name such as `meta.preferred`, a key of an object in it."""
    if name in row:
        return row[name]
    column, _, key = name.partition(".")
    found = structure(row.get(column))
    return found.get(key) if isinstance(found, Mapping) else None


def is_empty(value: Any) -> bool:
    """Nothing, or a text of spaces."""
    return value is None or (isinstance(value, str) and not value.strip())


def as_truth(value: Any) -> bool | None:
    """True and false, also as 1 and 0, yes and no, and as texts."""
    return _TRUTHS.get(str(value).strip().casefold().removesuffix(".0"))


def order_of(first: Any, second: Any) -> str | None:
    """Whether the first is `higher` or `lower`; of two words, as good and bad, by their letters."""
    if any(is_empty(one) or isinstance(one, list | dict) for one in (first, second)):
        return None
    numbers = [float(one) if isinstance(one, bool) else code_number(one) for one in (first, second)]
    one, other = (plain_code(first), plain_code(second)) if None in numbers else numbers
    return None if one == other else "higher" if one > other else "lower"  # type: ignore[operator]


def ways_of_order(name: str, data: Data) -> Ways:
    """What higher and lower numbers of a column may mean."""
    if called.is_rank(name):
        return {"lowest": _LOWEST, "highest": _HIGHEST}.get(data.best_rank or "", BY_ORDER)
    return _HIGHEST if called.is_score(name) else BY_ORDER
