"""What a layout is: the columns that tell it, what they mean, and how a row becomes preferences."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.reading.rows import Row

Converted = list[dict[str, Any]]
"""Rows with the fields of a form; `{BROKEN: reason}` and `{UNUSED: reason}` for what gives no preference."""


@dataclass(frozen=True)
class Layout:
    """A way to store preferences that a data set or a tool has made known."""

    name: str
    """As in `data.format`."""
    origin: str
    """Addresses, each with what it says there: public documentation, and code of others that reads the same."""
    form: Literal["preference_pairs", "comparisons", "ratings"]
    """The format of the rows that it is converted to."""
    needs: tuple[tuple[str, ...], ...]
    """Columns that tell it: one of each group."""
    coding: str
    """In words: which response is the preferred one, and which pairs of a row with several."""
    convert: Callable[[Row], Converted]
    """Preferences of a row; Unreadable, with the reason, where it has none or contradicts the documentation."""
    reads: tuple[str, ...] = ()
    """Other columns that are read where they are there."""
    speaks: tuple[str, ...] = ()
    """Columns of which a row of the source has to hold something: without them it says no more than its form does."""
    not_beside: tuple[str, ...] = ()
    """Columns that only other layouts have."""
    category: str | None = None
    """The column that says the kind of prompt."""
    annotator: str | None = None
    """The column that says who voted; rows with the same responses are then votes on one pair."""

    @property
    def uses(self) -> tuple[str, ...]:
        """Every column that is read where it is there."""
        return (*(name for group in self.needs for name in group), *self.reads)

    def may_be(self, names: Collection[str]) -> bool:
        """Whether a source has the columns."""
        has_all = all(any(name in names for name in group) for group in self.needs)
        return has_all and not any(name in names for name in self.not_beside)
