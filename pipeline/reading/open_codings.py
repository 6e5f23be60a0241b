"""Which values of winners and labels a source has, and whether they say by themselves what they mean."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.params.codings import Code, WinnerCoding, code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.coding_advice import Values, advise
from pipeline.reading.codings import Decoder
from pipeline.reading.fields import FILE_NAME, columns_in
from pipeline.reading.open_lists import close_lists
from pipeline.reading.opinions.names import is_score, mentions_score
from pipeline.reading.rows import Row
from pipeline.reading.samples import read_rows, sample_rows
from pipeline.reading.side_scores import compared_by, refuse_open_numbers
from pipeline.reading.sides import numbers_of
from pipeline.reading.sources import Source
from pipeline.reading.verdicts import NO_VERDICTS, Undeclared, read_verdict, usual_number
from pipeline.reading.vote_lists import votes_in

_STRAY = 20
"""Clear values for each unclear one from which on only the unclear rows are dropped, and counted."""
_SHOWN = 60
_MOST_CODES = 200


@dataclass
class Seen:
    """Values of a column, with how often each was seen."""

    clear: dict[str, Counter[str]] = field(default_factory=lambda: {"a": Counter(), "b": Counter(), "tie": Counter()})
    unclear: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    """Number of rows that were looked at."""
    of_rows: set[str] = field(default_factory=set)
    """Values whose meaning follows from other columns of their row."""
    numbered: dict[str, int] = field(default_factory=dict)
    """Clear values that name a response by a number which no column has, as `Response 1`, with the number."""
    example: tuple[int, Row] | None = None
    """The first row with an unclear value, or with one by a number, and its number from 1."""

    @property
    def decided(self) -> int:
        """How many clear values were seen."""
        return sum(values.total() for values in self.clear.values())

    @property
    def are_many(self) -> bool:
        """Whether too many values are unclear for only their rows to be dropped."""
        return self.unclear.total() * _STRAY > self.decided

    @property
    def are_remarks(self) -> bool:
        """Whether so many different values are unclear that they are free text, and not codes to be declared."""
        return len(self.unclear) > _MOST_CODES

    @property
    def counts_from_one(self) -> bool:
        """Such numbers begin with 1, because the last of two is 2; or there are none."""
        numbers = set(self.numbered.values())
        return not numbers or (2 in numbers and 0 not in numbers)

    @property
    def open(self) -> bool:
        """Whether some value has more than one possible meaning."""
        return bool(self.unclear) or not self.counts_from_one

    @property
    def all(self) -> Counter[str]:
        """Every value."""
        return self.unclear + sum(self.clear.values(), Counter())

    @property
    def sides(self) -> dict[str, str | None]:
        """Values that are always clear with what they mean, None of those that mean it by the name or text of a row."""
        found = [(value, side) for side, values in self.clear.items() for value in values if value not in self.unclear]
        return {value: None if value in self.of_rows else side for value, side in found}

    def open_numbers(self) -> None:
        """Count the values by a number, of which 1 may be the first or the second, as unclear."""
        for value in self.numbered:
            for values in self.clear.values():
                self.unclear[value] += values.pop(value, 0)


def close_codings(source: Source, data: Data, *, auto: bool) -> Data:
    """A resolved `data` in which every winner, label or rank has one meaning.

    Args:
        auto: the format was found, not named.

    Raises:
        PipelineError: the values may mean one thing or another; it says which values, and what to add to params.yaml.
    """
    form, columns = data.format, data.columns
    if form in ("comparisons", "round_robin") and not data.winner_coding and columns.winner:
        return _close_winners(source, data, columns_in(columns.winner))
    if compared_by(data):
        refuse_open_numbers(source, data)
    if form in ("thumbs", "labelled_texts") and auto and not data.label_coding and columns.label:
        _close_labels(source, data, columns.label)
    if form in ("ratings", "scored_responses"):
        _refuse_open_scores(source, data)
    if form == "scored_responses":
        return close_lists(source, data)
    if form == "rankings" and auto and data.best_rank is None:
        found = Counter(_shown(row.get(str(columns.rank))) for _, row in sample_rows(source, [str(columns.rank)]))
        raise PipelineError(
            advise("rank", source.name, str(columns.rank), Values(found, _example(source, 0, _names(data))))
        )
    return data


def _refuse_open_scores(source: Source, data: Data) -> None:
    """Refuse scores whose column is not called score or the like: less may be better. best_score says which is."""
    columns = data.columns
    name = columns.score if data.format == "ratings" else columns.scores
    if not isinstance(name, str) or data.best_score:
        return
    if not (mentions_score(source.name.rpartition("/")[2]) if source.unnamed else is_score(name)):
        rows = list(sample_rows(source, [name, *_names(data)]))
        found = Counter(_shown(row.get(name)) for _, row in rows)
        raise PipelineError(advise("score", source.name, name, Values(found, rows[0])))


def _close_winners(source: Source, data: Data, names: list[str]) -> Data:
    seen = _see(sample_rows(source, _needed(data, names)), data, names)
    if not seen.open:
        return data
    if not (seen.are_remarks and seen.are_many):
        seen = _see(read_rows(source, _needed(data, names)), data, names)
    columns = _responses(data)
    numbers = numbers_of(columns)
    if numbers and set(map(plain_code, seen.unclear)) == set(numbers):
        first, second = (list[Code]([*seen.clear[side], end]) for side, end in zip(("a", "b"), numbers, strict=True))
        coding = WinnerCoding(first=first, second=second, tie=list[Code](seen.clear["tie"]), skip=None)
        return data.model_copy(update={"winner_coding": coding})
    if not seen.counts_from_one:
        seen.open_numbers()
    if not seen.are_many:
        return data
    at, row = seen.example or (1, {})
    values = [one for name in names for one in _values(row.get(name), ()) if isinstance(one, str)]
    same = [name for name, value in source.rows[at - 1].items() if value in values]
    example = _example(source, at - 1, [*_needed(data, names), *same])
    raise PipelineError(
        advise(
            "winner",
            source.name,
            " + ".join(names),
            Values(seen.all, example, rows=seen.rows if seen.rows < len(source.rows) else None),
            columns or (),
            clear=seen.sides,
            models=data.columns.models or (),
        )
    )


def _responses(data: Data) -> tuple[str, str] | None:
    first, second = data.columns.response_a, data.columns.response_b
    return (first, second) if first and second else None


def _names(data: Data) -> list[str]:
    """The columns of a response and what is said of it."""
    fields = ("prompt", "text", "response", "label", "rank")
    return [name for field in fields if isinstance(name := getattr(data.columns, field), str) and name != FILE_NAME]


def _needed(data: Data, names: list[str]) -> list[str]:
    sides = (data.columns.response_a, data.columns.response_b)
    both = [side for side in sides if side and data.format == "comparisons"]
    return [*names, *both, *(data.columns.models or [])]


def _see(rows: Iterable[tuple[int, Row]], data: Data, names: list[str]) -> Seen:
    decoder, seen, columns = Decoder(data), Seen(), _responses(data)
    for number, row in rows:
        seen.rows += 1
        texts, models = [row.get(side) for side in columns or ()], [row.get(name) for name in data.columns.models or ()]
        for value in (one for name in names for one in _values(row.get(name), texts)):
            decoded = decoder.verdict(value, texts, models)
            if decoded in NO_VERDICTS or decoded == "":
                continue
            if isinstance(decoded, Undeclared) or not (verdict := read_verdict(decoded)):
                seen.unclear[_shown(value)] += 1
                seen.example = seen.example or (number, row)
                continue
            # the texts of responses are no values of a column
            shown = decoded if value in texts else _shown(value)
            seen.clear[verdict][shown] += 1
            if value in models or value in texts:
                seen.of_rows.add(shown)
            elif (at := usual_number(value, columns)) is not None:
                seen.numbered[shown] = at
                seen.example = seen.example or (number, row)
    return seen


def _values(value: Any, texts: Sequence[Any]) -> list[Any]:
    votes = votes_in(value, texts)
    return [one for one in ([value] if votes is None else votes) if one is not None]


def _shown(value: Any) -> str:
    text = plain_code(value) if code_number(value) is not None or isinstance(value, bool) else str(value)
    return shorten(text, _SHOWN)


def _close_labels(source: Source, data: Data, name: str) -> None:
    """Truth values of thumbs say whether a response is wanted; numbers and words may say the opposite."""
    found = Counter(_shown(row[name]) for _, row in sample_rows(source, [name]) if row.get(name) is not None)
    clear = sum(found[value] for value in ("true", "false", "True", "False")) if data.format == "thumbs" else 0
    if (found.total() - clear) * _STRAY > clear:
        found = Counter(_shown(row[name]) for _, row in read_rows(source, [name]) if row.get(name) is not None)
        raise PipelineError(advise("label", source.name, name, Values(found, _example(source, 0, _names(data)))))


def _example(source: Source, at: int, names: list[str]) -> tuple[int, Row]:
    """The first whole row from an index on, and its number from 1."""
    return next(read_rows(source, names, range(at, len(source.rows))))
