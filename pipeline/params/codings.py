"""What values of winners, labels and ranks mean, where the data does not say it."""

import operator
import re
from collections.abc import Callable, Iterable
from typing import Any, Self

from pydantic import model_validator

from pipeline.params.base import Section

Code = str | int | float | bool
_COMPARED = re.compile(r"(<=|>=|<|>)\s*([-+]?\d+(?:\.\d+)?)")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LONGEST = 100
"""Characters of a number."""
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


def plain_code(value: Any) -> str:
    """A value as codes are compared: 1, 1.0, "1" and " 1.0 " are the same, and so are true and "True"."""
    if isinstance(value, bool):
        return str(value).casefold()
    number = code_number(value)
    if number is not None:
        return str(int(number)) if number == int(number) else repr(number)
    return " ".join(str(value).split()).casefold()


def code_number(value: Any) -> float | None:
    """The finite number that a value is, also as the text of a table."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and len(value) > _LONGEST:
        return None
    text = str(value).strip()
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if number - number == 0 else None


class Codes(Section):
    """Lists of values, one for each meaning; `"< 0"` and the like stand for all numbers below."""

    @model_validator(mode="after")
    def _one_meaning_each(self) -> Self:
        meanings: dict[str, str] = {}
        for meaning, codes in self.lists():
            for code in map(plain_code, codes):
                if meanings.setdefault(code, meaning) != meaning:
                    raise ValueError(f"{code!r} is in {meanings[code]} and in {meaning}; a value has one meaning")
        return self

    def lists(self) -> Iterable[tuple[str, list[Code]]]:
        """Meanings with their values."""
        return ((name, getattr(self, name) or []) for name in type(self).model_fields)

    def __bool__(self) -> bool:
        """Something is declared."""
        return any(codes for _, codes in self.lists())

    def meaning(self, value: Any) -> str | None:
        """The list that a value is in: by itself, else by a comparison; None of one in no list or in two."""
        plain = plain_code(value)
        exact = [name for name, codes in self.lists() if plain in map(plain_code, codes)]
        number = code_number(value)
        if exact or number is None:
            return exact[0] if exact else None
        fitting = {name for name, codes in self.lists() if any(_compares(code, number) for code in codes)}
        return fitting.pop() if len(fitting) == 1 else None


def _compares(code: Code, number: float) -> bool:
    found = _COMPARED.fullmatch(code.strip()) if isinstance(code, str) else None
    return found is not None and _OPERATORS[found[1]](number, float(found[2]))


class WinnerCoding(Codes):
    first: list[Code] | None
    second: list[Code] | None
    tie: list[Code] | None
    skip: list[Code] | None


class LabelCoding(Codes):
    wanted: list[Code] | None
    unwanted: list[Code] | None
