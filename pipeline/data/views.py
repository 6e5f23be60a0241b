"""Sequences whose rows are made when they are asked for."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np

Row = TypeVar("Row")


class View(Sequence[Row], Generic[Row]):
    """A row for each of some numbers, from which the row is made; equal to any sequence of the same rows."""

    def __init__(self, numbers: np.ndarray, make: Callable[[int], Row], sizes: np.ndarray | None = None) -> None:
        """Args:
        numbers: one for each row: (N,).
        make: makes the row of a number.
        sizes: the bytes of each row, where they are known: (N,).
        """
        self._numbers, self._make, self.sizes = numbers, make, sizes

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "View[Row]": ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return View(self._numbers[index], self._make, None if self.sizes is None else self.sizes[index])
        return self._make(int(self._numbers[index]))

    def __iter__(self) -> Iterator[Row]:
        return map(self._make, map(int, self._numbers))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))
