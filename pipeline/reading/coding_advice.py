"""What to write into params.yaml where the values of a winner, label or rank leave open what they mean."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pipeline.excerpts import shorten
from pipeline.params.codings import code_number

_MOST_VALUES = 8
_MOST_CHARACTERS = 40
_Meanings = dict[str, list[str]]


def advise(
    kind: Literal["winner", "label", "rank"],
    file: str,
    column: str,
    values: Mapping[str, int],
    example: tuple[int, Mapping[str, Any]],
    responses: Sequence[str | None] = (),
) -> str:
    """An error message: file, column, values with how often they were seen, a row, and the lines for each meaning.

    Args:
        values: of the whole source.
        example: a row with such a value, and its number from 1.
        responses: the columns of both responses.
    """
    number, row = example
    known = " and ".join(str(name) for name in responses if name)
    between = f" between {known}" if kind == "winner" and known else ""
    question = {"winner": f"who won{between}", "label": "what people want", "rank": "whether 1 is the best"}[kind]
    options = "\n".join(f"  # if {meaning}:\n{lines}" for meaning, lines in _options(kind, list(values)))
    return (
        f"{file}: the column {column} does not say by itself {question}. It has {_counted(values)}. "
        f"Row {number}, for example: {_row(row)}.\n"
        f"Add to params.yaml, under data, what the values mean:\n{options}"
    )


def _counted(values: Mapping[str, int]) -> str:
    ordered = sorted(values.items(), key=lambda one: (-one[1], one[0]))
    shown = ", ".join(f"{_quoted(value)} ({count:,} times)" for value, count in ordered[:_MOST_VALUES])
    more = len(ordered) - _MOST_VALUES
    return f"{shown} and {more:,} other values" if more > 0 else shown or "no value"


def _row(row: Mapping[str, Any]) -> str:
    cells = (f"{name}: {_short(str(value))}" for name, value in row.items() if value is not None)
    return "{" + ", ".join(cells) + "}"


def _short(text: str) -> str:
    return shorten(" ".join(text.split()), _MOST_CHARACTERS)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _options(kind: str, values: list[str]) -> list[tuple[str, str]]:
    """Each meaning in words, with its lines."""
    if kind == "rank":
        return [
            ("rank 1 is the best", "  best_rank: lowest"),
            ("the largest number is the best", "  best_rank: highest"),
        ]
    if kind == "label":
        meanings = _label_meanings(values)
        return [(words, _lines("label_coding", lists)) for words, lists in meanings]
    return [(words, _lines("winner_coding", lists)) for words, lists in _winner_meanings(values)]


def _label_meanings(values: list[str]) -> list[tuple[str, _Meanings]]:
    low, high = _two(values)
    return [
        (f"people should get more of {high}", {"wanted": [high], "unwanted": [low]}),
        (f"people should get more of {low}", {"wanted": [low], "unwanted": [high]}),
    ]


def _two(values: list[str]) -> tuple[str, str]:
    ordered = sorted(values, key=lambda value: (code_number(value) is None, code_number(value) or 0.0, value))
    truths = [value for wanted in ("false", "true") for value in ordered if value.casefold() == wanted]
    if len(truths) == 2:
        return truths[0], truths[1]
    return (ordered[0], ordered[-1]) if len(ordered) > 1 else (ordered[0] if ordered else "0", "another value")


def _winner_meanings(values: list[str]) -> list[tuple[str, _Meanings]]:
    numbers = {number for value in values if (number := code_number(value)) is not None}
    if len(numbers) < len(values):
        return _of_words(values)
    if numbers <= {0, 1, 2}:
        return _of_small_numbers(numbers)
    if min(numbers) < 0:
        return _both_ways("numbers below 0 are for the first response", ["< 0"], ["> 0"], ["0"])
    middle = {True: "0.5", False: "1.5"}[max(numbers) <= 1]
    if max(numbers) <= 2 and (max(numbers) <= 1 or min(numbers) >= 1):
        words = f"numbers below {middle} are for the first response"
        return _both_ways(words, [f"< {middle}"], [f"> {middle}"], [middle])
    if len(values) <= _MOST_VALUES:
        return _of_words(values)
    half = f"{(min(numbers) + max(numbers)) / 2:g}"
    return _both_ways(f"numbers below {half} are for the first response", [f"< {half}"], [f"> {half}"], [half])


def _of_small_numbers(numbers: set[float]) -> list[tuple[str, _Meanings]]:
    zero_based: _Meanings = {"first": ["0"], "second": ["1"], "tie": ["2"] if 2 in numbers else []}
    one_based: _Meanings = {"first": ["1"], "second": ["2"], "tie": ["0"] if 0 in numbers else []}
    found = [("0 is the first response", zero_based)] if numbers != {1, 2} else []
    if 2 in numbers or numbers == {1}:
        found.append(("1 is the first response and 2 the second", one_based))
    if numbers - {1} != {0}:
        found.append(("2 is the first response and 1 the second", {**one_based, "first": ["2"], "second": ["1"]}))
    if not numbers >= {1, 2} or 0 in numbers:
        found.append(("1 is the first response and 0 the second", {**zero_based, "first": ["1"], "second": ["0"]}))
    return found


def _both_ways(words: str, first: list[str], second: list[str], tie: list[str]) -> list[tuple[str, _Meanings]]:
    return [
        (words, {"first": first, "second": second, "tie": tie}),
        ("it is the other way round", {"first": second, "second": first, "tie": tie}),
    ]


def _of_words(values: list[str]) -> list[tuple[str, _Meanings]]:
    low, high = _two(values)
    rest = sorted(set(values) - {low, high})[: _MOST_VALUES - 2]
    if high.casefold() == "true":
        return _both_ways(f"{high} says that the first response won", [high], [low], rest)
    if not rest:
        return _both_ways(f"{low} says that the first response won", [low], [high], rest)
    return [
        (
            "this is so; else move each value to what it means, and those that are no vote to skip",
            {"first": [low], "second": [high], "tie": rest},
        )
    ]


def _lines(key: str, meanings: _Meanings) -> str:
    inner = [f"    {name}: [{', '.join(map(_quoted, values))}]" for name, values in meanings.items()]
    if key == "winner_coding":
        inner.append("    skip: []")
    return "\n".join([f"  {key}:", *inner])
