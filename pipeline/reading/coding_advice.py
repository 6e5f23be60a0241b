"""What to write into params.yaml where the values of a winner, label or rank leave open what they mean."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from pipeline.excerpts import shorten
from pipeline.params.codings import code_number
from pipeline.reading.rows import Row

_PLAIN = re.compile(r"[A-Za-z_](?:[\w .-]*[\w.-])?")
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Words that are no texts in some YAML."""
_MOST_VALUES = 8
_MOST_CHARACTERS = 40
_QUESTIONS = {
    "winner": "who won",
    "label": "what people want",
    "rank": "whether 1 is the best",
    "score": "whether more of it is better",
}
_Meanings = dict[str, list[str]]
_SIDES = {"first": "a", "second": "b", "tie": "tie"}


class Values(NamedTuple):
    """The values that were seen in a column."""

    values: Mapping[str, int]
    """The values, with how often each was seen."""
    example: tuple[int, Row]
    """A row with such a value, and its number from 1: these columns, and others with the same value."""
    rows: int | None = None
    """Of the source that `values` were seen in; None means in all."""


def advise(
    kind: Literal["winner", "label", "rank", "score"],
    file: str,
    column: str,
    seen: Values,
    responses: Sequence[str] = (),
    *,
    clear: Mapping[str, str | None] = MappingProxyType({}),
    models: Sequence[str] = (),
) -> str:
    """An error message: file, column, values with how often they were seen, a row, and the lines for each meaning.

    Args:
        seen: in the column.
        responses: the columns of both responses.
        clear: values that say what they mean, which is a, b or tie; None of one that means it by its row.
        models: the columns of the names that values were held against, row by row.
    """
    values, (number, row), rows = seen
    known = " and ".join(responses)
    known_columns = (*responses, *column.split(" + "))
    between = f" between {known}" if kind == "winner" and known else ""
    question = _QUESTIONS[kind] + between
    open_values = [value for value in values if value not in clear]
    words = all(code_number(value) is None for value in open_values)
    found = _named_by_rows(open_values, models, clear) if models and words else _options(kind, open_values, clear)
    options = "\n".join(f"  # if {meaning}:\n{lines}" for meaning, lines in found)
    if elsewhere := [name for name in row if kind == "winner" and name not in (*known_columns, *models)]:
        options += (
            f"\n  # if it is a name, as {' and '.join(elsewhere)} of this row: set data.columns.models to the two "
            f"columns with such names, that of {' before that of '.join(responses)}"
        )
    has = f"In {rows:,} rows from all over it there are" if rows else "It has"
    held = f", held against {' and '.join(models)} of each row" if models else ""
    return (
        f"{file}: the column {column} does not say by itself {question}. {has} {_counted(values)}{held}. "
        f"Row {number}, for example: {_row(row)}.\n"
        f"Add to params.yaml, under data, what the values mean:\n{options}"
    )


def _counted(values: Mapping[str, int]) -> str:
    ordered = sorted(values.items(), key=lambda one: (-one[1], one[0]))
    shown = ", ".join(f"{_quoted(value)} ({count:,} times)" for value, count in ordered[:_MOST_VALUES])
    more = len(ordered) - _MOST_VALUES
    return f"{shown} and {more:,} other values" if more > 0 else shown or "no value"


def _row(row: Row) -> str:
    cells = (f"{name}: {_short(str(value))}" for name, value in row.items() if value is not None)
    return "{" + ", ".join(cells) + "}"


def _short(text: str) -> str:
    return shorten(" ".join(text.split()), _MOST_CHARACTERS)


def name_in_yaml(name: str) -> str:
    """A name of a column, or a code, as YAML reads it back as a text."""
    if _PLAIN.fullmatch(name) and name.casefold() not in _YAML_WORDS:
        return name
    return _quoted(name) if name.isprintable() else json.dumps(name, ensure_ascii=False)


def names_in_yaml(names: Iterable[str]) -> str:
    """Several names as they stand in a list of params.yaml, see `name_in_yaml`."""
    return ", ".join(map(name_in_yaml, names))


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _named_by_rows(values: list[str], models: Sequence[str], clear: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Of a winner that is a model's name: what else it may be."""
    known: _Meanings = {name: _clear_ones(side, clear) for name, side in _SIDES.items()}
    words = (
        f"these name nobody (a value that equals one of {' and '.join(models)} is read by its row and needs no line); "
        "else move each to what it means, or mend its rows"
    )
    return [(words, _lines("winner_coding", {**known, "skip": values[:_MOST_VALUES]}))]


def _clear_ones(side: str, clear: Mapping[str, str | None]) -> list[str]:
    return [value for value, meaning in clear.items() if meaning == side][:_MOST_VALUES]


def _options(kind: str, values: list[str], clear: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Each meaning in words, with its lines."""
    if kind == "rank":
        return [
            ("rank 1 is the best", "  best_rank: lowest"),
            ("the largest number is the best", "  best_rank: highest"),
        ]
    if kind == "score":
        return [
            ("the largest number is the best", "  best_score: highest"),
            ("the smallest number is the best, as of a loss", "  best_score: lowest"),
        ]
    if kind == "label":
        meanings = _label_meanings(values)
        return [(words, _lines("label_coding", lists)) for words, lists in meanings]
    known: _Meanings = {name: _clear_ones(side, clear) for name, side in _SIDES.items()}
    found = _winner_meanings(values)
    return [
        (words, _lines("winner_coding", {**lists, **{name: [*known[name], *lists[name]] for name in known}}))
        for words, lists in found
    ]


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
    if high.casefold() == "true":
        rest = sorted(set(values) - {low, high})[: _MOST_VALUES - 2]
        return _both_ways(f"{high} says that the first response won", [high], [low], rest)
    if len(values) <= len((low, high)):
        return _both_ways(f"{low} says that the first response won", [low], [high], [])
    words = "none of them is a vote; else move each value to what it means"
    return [(words, {"first": [], "second": [], "tie": [], "skip": sorted(values)[:_MOST_VALUES]})]


def _lines(key: str, meanings: _Meanings) -> str:
    inner = [f"    {name}: [{', '.join(map(_quoted, values))}]" for name, values in meanings.items()]
    if key == "winner_coding" and "skip" not in meanings:
        inner.append("    skip: []")
    return "\n".join([f"  {key}:", *inner])
