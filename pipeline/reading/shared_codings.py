"""A declared coding applies to all sources of a run, so it is compared with the values of each source."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.params.codings import plain_code
from pipeline.params.data import Data
from pipeline.reading.fields import columns_in
from pipeline.reading.samples import sample_rows
from pipeline.reading.sides import numbers_of
from pipeline.reading.sources import Source
from pipeline.reading.verdicts import NO_VERDICTS

_STRAY = 20
"""Known values for each unknown one from which on only the unknown rows are dropped, and counted."""
_SHOWN, _MOST = 40, 8
_SIDES = ("first", "second")


@dataclass(frozen=True)
class _Coded:
    """A source with what its values mean by the declared coding."""

    source: Source
    column: str
    responses: tuple[str, str] | None
    meanings: dict[str, str]
    unlisted: Counter[str]
    listed: int
    """How many values the coding has."""

    @property
    def values(self) -> str:
        """All that were seen."""
        return ", ".join(f"'{value}'" for value in sorted({*self.meanings, *self.unlisted})[:_MOST])

    @property
    def turned(self) -> list[str]:
        """Values that are the number of a response's column, but mean the other one."""
        own = dict(zip(numbers_of(self.responses) or (), _SIDES, strict=False))
        meant = {value: meaning for value, meaning in self.meanings.items() if meaning in _SIDES}
        return [value for value, meaning in meant.items() if own.get(value, meaning) != meaning]

    @property
    def sides(self) -> set[str]:
        """The meanings that occur, ties included."""
        return set(self.meanings.values()) & {*_SIDES, "tie"}


def refuse_misfits(sources: Sequence[Source], resolved: Sequence[Data], settings: Data) -> None:
    """Stop where the coding that params.yaml declares was made for the values of another source.

    Args:
        sources: of the run.
        resolved: what each of them is.
        settings: `data` of the parameters, with the coding.

    Raises:
        PipelineError: naming the source, its values, and what to do.
    """
    coded = [found for source, data in zip(sources, resolved, strict=True) for found in _coded(source, data, settings)]
    for one in coded:
        if one.unlisted.total() * _STRAY > one.listed:
            raise PipelineError(_unlisted(one, "winner_coding" if one.responses else "label_coding"))
    compared = [one for one in coded if one.responses]
    for one in compared:
        others = [other for other in compared if other is not one]
        if one.turned and any(not other.turned for other in others):
            raise PipelineError(_misfit(one, others, f"{_quoted(one.turned)} is the number of the other response"))
        if len(one.sides) == 2 and "tie" in one.sides and any(set(_SIDES) <= other.sides for other in others):
            missing = next(side for side in _SIDES if side not in one.sides)
            raise PipelineError(_misfit(one, others, f"by it the {missing} response never won, though there are ties"))


def _coded(source: Source, data: Data, settings: Data) -> Iterator[_Coded]:
    columns = data.columns
    if data.format == "comparisons" and settings.winner_coding and columns.response_a and columns.response_b:
        winners = columns_in(columns.winner)
        named = [*winners, *(columns.models or []), columns.response_a, columns.response_b]
        rows = [row for _, row in sample_rows(source, named)]
        beside = [{plain_code(row.get(name)) for name in named[len(winners) :]} for row in rows]
        values = [
            row.get(name) for row, known in zip(rows, beside, strict=True) for name in winners
            if plain_code(row.get(name)) not in known
        ]  # fmt: skip
        sides = (columns.response_a, columns.response_b)
        yield _count(source, " + ".join(winners), sides, values, settings.winner_coding.meaning)
    if data.format in ("thumbs", "labelled_texts") and settings.label_coding and columns.label:
        values = [row.get(columns.label) for _, row in sample_rows(source, [columns.label])]
        yield _count(source, columns.label, None, values, settings.label_coding.meaning)


def _count(
    source: Source,
    column: str,
    responses: tuple[str, str] | None,
    values: Sequence[Any],
    meaning: Callable[[Any], str | None],
) -> _Coded:
    meanings: dict[str, str] = {}
    unlisted: Counter[str] = Counter()
    listed = 0
    for value in values:
        if value is None or (isinstance(value, str) and (not value.strip() or value.strip() in NO_VERDICTS)):
            continue
        shown = shorten(plain_code(value), _SHOWN)
        if found := meaning(value):
            meanings[shown] = found
            listed += 1
        else:
            unlisted[shown] += 1
    return _Coded(source, column, responses, meanings, unlisted, listed)


def _unlisted(one: _Coded, key: str) -> str:
    counted = ", ".join(f"'{value}' ({count:,} times)" for value, count in one.unlisted.most_common(_MOST))
    lists = "first, second, tie or skip" if one.responses else "wanted or unwanted"
    return (
        f"{one.source.name}: the column {one.column} has {counted}, which data.{key} does not list, and {one.listed:,} "
        f"values that it does. It holds for every source: is it meant for this one? If so, add what is missing to "
        f"{lists}. {_other_ways(one)}"
    )


def _misfit(one: _Coded, others: Sequence[_Coded], why: str) -> str:
    return (
        f"{one.source.name}: data.winner_coding does not seem to be meant for the column {one.column}, which has "
        f"{one.values}: {why}. It holds for every source, as "
        f"{'; '.join(f'{other.source.name} with {other.values}' for other in others)}. {_other_ways(one)}"
    )


def _other_ways(one: _Coded) -> str:
    if one.responses is None:
        return "If not, write the labels of one source as those of the others."
    first, second = one.responses
    return (
        "If not, write its values as the names of its columns, and add these to params.yaml, under data, as "
        f"winner_coding: first: [..., {first}], second: [..., {second}]."
    )


def _quoted(values: Sequence[str]) -> str:
    return " and ".join(f"'{value}'" for value in values)
