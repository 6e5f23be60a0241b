"""Columns that say who won beside those that are read: they may not say otherwise in silence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.params.data import Data
from pipeline.reading.fields import side_columns
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.leftovers import unused_columns
from pipeline.reading.opinions import names as called
from pipeline.reading.opinions.decisions import Claim, Decision, Decisions, is_empty, order_of, value_at, ways_of_order
from pipeline.reading.opinions.held import Held
from pipeline.reading.opinions.of_list import OfList
from pipeline.reading.opinions.of_rows import BY_PROMPT, OfOne, OfPrompt
from pipeline.reading.opinions.of_two import OfLayout, OfTwo, of_pair, of_votes
from pipeline.reading.samples import NumberedRow, read_rows, sample_rows
from pipeline.reading.sides import columns_of_sides
from pipeline.reading.sources import Source
from pipeline.reading.verdicts import Verdict
from pipeline.reading.written_messages import structure

_SHOWN = 40
_MOST_CODES = 3
"""Different values of a column that may be codes for who won."""
_BY_RANK = "  format: rankings\n  best_rank: lowest"
Columns = tuple[str, ...]
_Found = dict[Columns, Held]
_Against = list[tuple[str, Verdict]]


def refuse_contradictions(source: Source, data: Data) -> None:
    """Stop where a column that a resolved `data` leaves unread says otherwise than what is read.

    Raises:
        PipelineError: with both columns, in how many rows, the first of these, and the lines for each choice.
    """
    ignored = data.ignore_columns or []
    others = [name for name in unused_columns(source, data) if not (name in ignored or called.is_superseded(name))]
    if not others:
        return
    for decisions in _decisions_of(source, data, others):
        others = [name for name in others if name not in decisions.needed]
        rows = list(sample_rows(source, [*decisions.needed, *others]))
        sample = _Sample(rows, list(decisions.each(rows)))
        claims = _claims(sample, decisions, others)
        found = _held(sample.decided, claims)
        claims = {
            columns: claims[columns] for columns, held in found.items()
            if _holds_texts(columns[0], sample.decided) or _counts(columns, decisions, held)
        }  # fmt: skip
        if claims and len(rows) < len(source.rows):
            wanted = {part for columns in claims for name in columns for part in (name, name.partition(".")[0])}
            names = [*decisions.needed, *(name for name in others if name in wanted)]
            found = _held(decisions.each(read_rows(source, names)), claims)
        for columns in claims:
            ways = decisions.ways(columns[0]) if len(columns) == 1 else ways_of_order(columns[0], data)
            if against := found[columns].against(ways):
                raise PipelineError(_message(source, data, decisions, columns, found[columns], against))


def _decisions_of(source: Source, data: Data, others: Sequence[str]) -> list[Decisions]:
    """How a source is read; nothing for formats without preferences."""
    columns = data.columns
    if layout := LAYOUTS.get(data.format):
        return [OfLayout(source, data, layout)] if layout.form != "ratings" else []
    if data.format == "comparisons" and columns.response_a and columns.response_b:
        return [of_votes(data, (columns.response_a, columns.response_b))]
    if data.format == "preference_pairs" and columns.chosen and columns.rejected:
        return [of_pair(data, (columns.chosen, columns.rejected), side_columns(others))]
    if data.format == "scored_responses":
        return [OfList(data)]
    by_label: list[Decisions] = [OfOne(data)] if data.format in ("thumbs", "labelled_texts") else []
    return [*by_label, OfPrompt(source, data)] if data.format in BY_PROMPT else by_label


class _Sample(NamedTuple):
    """Rows that are looked at, and what is read of them."""

    rows: list[NumberedRow]
    decided: list[Decision]


def _claims(sample: _Sample, decisions: Decisions, others: Sequence[str]) -> dict[Columns, Claim]:
    """What every column that may be about the same says: by its name, by its few values, or by texts of responses."""
    claims: dict[Columns, Claim] = {}
    for name in (path for column in others for path in _paths(column, sample.rows)):
        values = {str(value) for _, row in sample.rows if not is_empty(value := value_at(row, name))}
        likely = decisions.by_any_name and 1 < len(values) <= _MOST_CODES
        is_called = decisions.is_called(_last(name)) and decisions.may_hold(values)
        if likely or is_called or _holds_texts(name, sample.decided):
            claims[(name,)] = decisions.claim(name)
    if isinstance(decisions, OfTwo) and (ranks := columns_of_sides("rank", others, decisions.columns)):
        claims[tuple(ranks)] = lambda one: order_of(*(value_at(one.row, name) for name in ranks))
    return claims


def _last(path: str) -> str:
    """The name of a column, or of a key in its objects."""
    return path.rpartition(".")[2] or path


def _paths(name: str, rows: Sequence[NumberedRow]) -> list[str]:
    """The column, or the keys of the objects in it."""
    objects = [found for _, row in rows if isinstance(found := structure(row.get(name)), Mapping)]
    return [name] if not objects else [f"{name}.{key}" for key in dict.fromkeys(key for one in objects for key in one)]


def _holds_texts(path: str, decided: Iterable[Decision]) -> bool:
    """Whether every value is the text of one of the responses, so that the column names them."""
    said = [(value, one.texts) for one in decided if not is_empty(value := value_at(one.row, path))]
    return len(said) > 1 and all(isinstance(value, str) and value in texts for value, texts in said)


def _counts(columns: Columns, decisions: Decisions, held: Held) -> bool:
    """Whether what a column says is about the same: by its name, or where it nearly always is what is read."""
    is_called = len(columns) > 1 or decisions.is_called(_last(columns[0]))
    return is_called or (decisions.by_any_name and held.nearly_agrees())


def _held(decided: Iterable[Decision], claims: Mapping[Columns, Claim]) -> _Found:
    found: _Found = {}
    for one in decided if claims else ():
        for columns, claim in claims.items():
            if (said := claim(one)) is not None:
                found.setdefault(columns, Held()).add(one.number, _shown(one, columns), said, one.read)
    return found


def _shown(decision: Decision, columns: Columns) -> Mapping[str, Any]:
    return {**decision.row, **{name: value_at(decision.row, name) for name in columns}}


def _message(source: Source, data: Data, decisions: Decisions, columns: Columns, held: Held, against: _Against) -> str:
    count, total = sum(held.said[pair] for pair in against), held.said.total()
    number, row = min((held.first[pair] for pair in against), key=lambda one: one[0])
    read = [name for name in decisions.by if name not in (data.columns.models or [])]
    shown = ", ".join(f"{name}: {shorten(str(row.get(name)), _SHOWN)}" for name in (*read, *columns) if name in row)
    first, other = " + ".join(read), " and ".join(columns)
    return (
        f"{source.name}: {first} and {other} both say {decisions.question}, and contradict each other in "
        f"{count:,} of {total:,} {decisions.unit}. Row {number}, for example: {{{shown}}}.\n"
        "Mend the rows, or add to params.yaml, under data, which of them counts:\n"
        + "\n".join(_choices(data, decisions, read, columns, held))
    )


def _choices(data: Data, decisions: Decisions, read: Sequence[str], columns: Columns, held: Held) -> list[str]:
    """Lines of params.yaml for each of the two, and for both."""
    first, other, kept = " + ".join(read), " and ".join(columns), data.ignore_columns or []
    unread = dict.fromkeys([*kept, *(name.partition(".")[0] for name in columns)])
    lines = [f"  # if {first} counts:\n  ignore_columns: [{', '.join(unread)}]"]
    if data.format == "comparisons" and isinstance(decisions, OfTwo) and _may_be_winner(columns, decisions):
        ignored = ", ".join([*kept, *read])
        lines.append(f"  # if {other} counts:\n  ignore_columns: [{ignored}]\n  columns:\n    winner: {other}")
        if all(said in ("a", "b", "tie") for said, _ in held.said):
            lines.append(
                "  # if each is a vote, so that rows in which they differ are dropped as ties:\n  columns:\n"
                f"    winner: [{', '.join([*read, *columns])}]"
            )
    if data.format == "ratings" and called.is_rank(columns[0]):
        lines.append(f"  # if {other} counts (highest where the largest number is the best):\n{_BY_RANK}")
    if data.format == "thumbs" and called.is_score(columns[0]):
        lines.append(f"  # if {other} counts:\n  format: ratings\n  columns:\n    score: {other}")
    return lines


def _may_be_winner(columns: Columns, decisions: OfTwo) -> bool:
    return len(columns) == 1 and "." not in columns[0] and not decisions.says_less(columns[0])
