"""Columns that say who won beside those that are read: they may not say otherwise in silence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.params.data import Data
from pipeline.reading.coding_advice import name_in_yaml, names_in_yaml
from pipeline.reading.fields import side_columns
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.leftovers import unused_columns
from pipeline.reading.opinions import names as called
from pipeline.reading.opinions.decisions import Claim, Decision, Decisions, Field, is_empty, order_of, ways_of_order
from pipeline.reading.opinions.held import Held
from pipeline.reading.opinions.of_list import OfList
from pipeline.reading.opinions.of_rows import BY_PROMPT, OfOne, OfPrompt, OfRatedLayout
from pipeline.reading.opinions.of_two import OfLayout, OfTwo, of_pair, of_votes
from pipeline.reading.samples import NumberedRow, read_rows, sample_rows
from pipeline.reading.sides import columns_of_sides
from pipeline.reading.sources import Source
from pipeline.reading.votes import Verdict
from pipeline.reading.written_messages import structure

_SHOWN = 40
_DEEPEST = 3
"""Objects inside objects that are looked into."""
_FEW_TEXTS = 0.7
"""How often a column that holds texts of responses has to name the one that won."""
_MOST_CODES = 3
"""Different values of a column that may be codes for who won."""
_BY_RANK = "  format: rankings\n  best_rank: lowest"
Columns = tuple[Field, ...]
_Found = dict[Columns, Held]
_Against = list[tuple[str, Verdict]]


def refuse_contradictions(source: Source, data: Data, *, declared: bool) -> None:
    """Stop where a column that a resolved `data` leaves unread says otherwise than what is read.

    Args:
        declared: params.yaml says what values of the winner mean.

    Raises:
        PipelineError: with both columns, in how many rows, the first of these, and the lines for what can be chosen.
    """
    ignored = data.ignore_columns or []
    unused = [name for name in unused_columns(source, data) if not (name in ignored or called.is_superseded(name))]
    for decisions in _decisions_of(source, data, unused) if unused else ():
        others = [name for name in unused if name not in decisions.needed]
        rows = list(sample_rows(source, [*decisions.needed, *others]))
        claims = _claims(rows, decisions, others)
        if not claims:
            continue
        names = dict.fromkeys([*decisions.needed, *(field.column for columns in claims for field in columns)])
        for columns, held in _held(decisions.each(read_rows(source, list(names))), claims).items():
            ways = decisions.ways(columns[0].name) if len(columns) == 1 else ways_of_order(columns[0].name, data)
            if against := held.against(ways):
                raise PipelineError(_message(source, data, decisions, columns, held, against, declared=declared))


def _decisions_of(source: Source, data: Data, others: Sequence[str]) -> list[Decisions]:
    """How a source is read; nothing for formats without preferences."""
    columns = data.columns
    if layout := LAYOUTS.get(data.format):
        of_layout = OfRatedLayout if layout.form == "ratings" else OfLayout
        return [of_layout(source, data, layout)]
    if data.format == "comparisons" and columns.response_a and columns.response_b:
        return [of_votes(data, (columns.response_a, columns.response_b))]
    if data.format == "preference_pairs" and columns.chosen and columns.rejected:
        return [of_pair(data, (columns.chosen, columns.rejected), side_columns(others))]
    if data.format == "scored_responses":
        return [OfList(data)]
    by_label: list[Decisions] = [OfOne(data)] if data.format in ("thumbs", "labelled_texts") else []
    return [*by_label, OfPrompt(source, data)] if data.format in BY_PROMPT else by_label


def _claims(rows: Sequence[NumberedRow], decisions: Decisions, others: Sequence[str]) -> dict[Columns, Claim]:
    """What every column that is about the same says.

    It is by its name, and, with any name, where its values in a sample are nearly always what is read, or where they
    name responses by their texts.
    """
    claims: dict[Columns, Claim] = {}
    unknown: dict[Columns, Claim] = {}
    decided = list(decisions.each(rows)) if decisions.by_any_name else []
    fields = [field for name in others for field in _fields(name, rows)]
    repeating = [field for field in fields if _holds_texts(field, decided)]
    for field in fields:
        values = {str(value) for _, row in rows if not is_empty(value := field.of(row))}
        if decisions.is_called(field.name) and decisions.may_hold(field.name, values):
            claims[(field,)] = decisions.claim(field)
        elif 1 < len(values) <= _MOST_CODES or repeating == [field]:
            unknown[(field,)] = decisions.claim(field)
    for columns, held in _held(decided, unknown).items():
        if held.nearly_agrees(_FEW_TEXTS if columns[0] in repeating else None):
            claims[columns] = unknown[columns]
    if isinstance(decisions, OfTwo) and (ranks := columns_of_sides("rank", others, decisions.columns)):
        claims[tuple(map(Field, ranks))] = lambda one: order_of(*(one.row.get(name) for name in ranks))
    return claims


def _fields(name: str, rows: Sequence[NumberedRow]) -> list[Field]:
    """The column, or the keys of the objects in it, also of those in these."""
    found = list(dict.fromkeys(keys for _, row in rows for keys in _keys(row.get(name), _DEEPEST)))
    fields = [Field(name, keys) for keys in found if keys]
    return [field for field in fields if not called.is_superseded(field.name)] if fields else [Field(name)]


def _keys(value: Any, deepest: int) -> list[tuple[str, ...]]:
    found = structure(value)
    if not isinstance(found, Mapping) or not deepest:
        return [()]
    return [(str(key), *keys) for key, inner in found.items() for keys in _keys(inner, deepest - 1)]


def _holds_texts(field: Field, decided: Iterable[Decision]) -> bool:
    """Whether every value is the text of one of the responses, so that the column names them."""
    said = [(value, one.texts) for one in decided if not is_empty(value := field.of(one.row))]
    return len(said) > 1 and all(isinstance(value, str) and value in texts for value, texts in said)


def _held(decided: Iterable[Decision], claims: Mapping[Columns, Claim]) -> _Found:
    found: _Found = {}
    for one in decided if claims else ():
        for columns, claim in claims.items():
            if (said := claim(one)) is not None:
                found.setdefault(columns, Held()).add(one.number, one.row, said, one.read)
    return found


def _message(
    source: Source,
    data: Data,
    decisions: Decisions,
    columns: Columns,
    held: Held,
    against: _Against,
    *,
    declared: bool,
) -> str:
    count, total = sum(held.said[pair] for pair in against), held.said.total()
    number, row = min((held.first[pair] for pair in against), key=lambda one: one[0])
    read, paths = [name for name in decisions.by if name not in (data.columns.models or [])], _paths(columns)
    seen = {**row, **{field.path: field.of(row) for field in columns}}
    shown = ", ".join(f"{name}: {shorten(str(seen[name]), _SHOWN)}" for name in (*read, *paths) if name in seen)
    lines = _choices(data, decisions, read, columns, held, declared=declared)
    return (
        f"{source.name}: {' + '.join(read)} and {' and '.join(paths)} both say {decisions.question}, and contradict "
        f"each other in {count:,} of {total:,} {decisions.unit}. Row {number}, for example: {{{shown}}}.\n"
        "Mend the rows, or add to params.yaml, under data, which of them counts:\n" + "\n".join(lines)
    )


def _paths(columns: Columns) -> list[str]:
    return [field.path for field in columns]


def _choices(
    data: Data, decisions: Decisions, read: Sequence[str], columns: Columns, held: Held, *, declared: bool
) -> list[str]:
    """Lines of params.yaml for each of the two that can be chosen, and for both."""
    first, other, kept = " + ".join(read), " and ".join(_paths(columns)), data.ignore_columns or []
    unread = dict.fromkeys([*kept, *(field.column for field in columns)])
    lines = [f"  # if {first} counts:\n  ignore_columns: [{names_in_yaml(unread)}]"]
    name = name_in_yaml(columns[0].column)
    # a coding that is declared would not hold for the values of the other column
    if isinstance(decisions, OfTwo) and data.format == "comparisons" and not declared and _may_win(columns, decisions):
        ignored = names_in_yaml([*kept, *read])
        lines.append(f"  # if {other} counts:\n  ignore_columns: [{ignored}]\n  columns:\n    winner: {name}")
        if all(said in ("a", "b", "tie") for said, _ in held.said):
            differ = "so that rows in which they differ are dropped as ties"
            votes = differ if len(read) == 1 else "so that the majority decides"
            both = names_in_yaml([*read, columns[0].column])
            lines.append(f"  # if each is a vote, {votes}:\n  columns:\n    winner: [{both}]")
    if data.format == "ratings" and called.is_rank(columns[0].name):
        lines.append(f"  # if {other} counts (highest where the largest number is the best):\n{_BY_RANK}")
    if data.format == "thumbs" and called.is_score(columns[0].name):
        lines.append(f"  # if {other} counts:\n  format: ratings\n  columns:\n    score: {name}")
    return lines


def _may_win(columns: Columns, decisions: OfTwo) -> bool:
    """Whether a column can be that of the winner."""
    return len(columns) == 1 and not columns[0].keys and not decisions.says_less(columns[0].name)
