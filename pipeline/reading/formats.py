"""The formats of preference data: which one a source has, and which column is which field."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.reading.bytes_columns import refuse_bytes
from pipeline.reading.categories import EVERYTHING, category_of
from pipeline.reading.chats import Unreadable, is_chat
from pipeline.reading.codings import Decoder
from pipeline.reading.fields import FIELDS, FILE_NAME, KEY, OPTIONAL, columns_of, has_fields, sides_by_name, usual_names
from pipeline.reading.headless import guess_columns, header_hint
from pipeline.reading.layouts.recognition import layout_of, resembling, resolve
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.layouts.selection import laid_out
from pipeline.reading.leftovers import likely_preferences, refuse_leftovers, unused_columns
from pipeline.reading.open_codings import close_codings
from pipeline.reading.opinions.contradictions import refuse_contradictions
from pipeline.reading.plain_text import text_hint
from pipeline.reading.rows import BROKEN, PARTS, SEEN, Row
from pipeline.reading.samples import sample_rows
from pipeline.reading.side_scores import are_ranks, compared_by, winner_by_numbers
from pipeline.reading.sources import Source
from pipeline.reading.vote_lists import votes_in
from pipeline.reading.written_messages import structure, unpack

HOLD_CHATS = (frozenset(FIELDS) | frozenset(LAYOUTS)) - {"labelled_texts", "texts"}
"""Formats whose texts may be chats."""
_TALK = frozenset({"prompt", "chosen", "rejected", "response_a", "response_b", "response"})
"""Fields that a table may have as the JSON of messages."""
_SEVERAL = {
    "round_robin": ("winner", "responses"),
    "comparisons": ("winner", "models", "scores"),
    "scored_responses": (),
}
"""Fields that are lists of columns."""
_LISTS = frozenset({"responses", "scores"})
"""Fields that a table may have as the JSON of a list."""
_WITHOUT_PAIRS = frozenset({"thumbs", "labelled_texts", "demonstrations", "texts", "prompts"})


def detect_format(source: Source, data: Data) -> Data:
    """`data` with the format and the column of every field of one source filled in.

    Raises:
        PipelineError: a column is missing, two fields share one, no format fits, or values of a winner, label or rank
            may mean one thing or another.
    """
    source_data = data.model_copy(update={"source": source.name})
    if source.unnamed:
        source_data = guess_columns(source_data, source.rows)
    names, first = source.rows.column_names, _first_row(source)
    layout = layout_of(source, data)
    if layout and not _has_own_coding(source_data, names):
        return _closed(source, resolve(layout, source, data), auto=data.format == "auto")
    if data.format != "auto":
        columns = _named_columns(source, source_data)
        return _closed(source, _resolved(source_data, data.format, names, columns), auto=False)
    kept = [name for name in names if name not in (data.ignore_columns or [])]
    for candidate in FIELDS:
        columns = columns_of(source_data, candidate, _without_counts(source, candidate), strict=False)
        if has_fields(candidate, columns) and _fits(candidate, columns, first):
            unusual = candidate == "comparisons" and sides_by_name(source_data, names)
            if candidate in _WITHOUT_PAIRS or unusual:
                refuse_bytes(source, kept, of_texts=True)  # with texts there it may be another format
                if near := resembling(source):
                    raise PipelineError(f"data.format is auto, and {source.name} fits no format with pairs. {near}")
            return _closed(source, _resolved(source_data, candidate, names, columns), auto=True)
    refuse_bytes(source, kept, of_texts=True)
    if hint := text_hint(source.name, source.rows, unnamed=source.unnamed):
        raise PipelineError(f"data.format is auto, and {source.name} fits no format. {hint}")
    near = resembling(source) or likely_preferences(source)
    needs = "; ".join(f"{name}: {', '.join(fields)}" for name, fields in FIELDS.items())
    raise PipelineError(
        f"data.format is auto, but the columns of {source.name} ({', '.join(names)}) fit no format ({needs}). "
        + " ".join(filter(None, [f"Name the columns in {KEY}.", near, header_hint(source)]))
    )


def _named_columns(source: Source, data: Data) -> dict[str, list[str]]:
    """The columns of the fields of a format that is named."""
    try:
        return columns_of(data, data.format, source.rows.column_names, strict=True)
    except PipelineError as error:
        raise PipelineError(f"{error} {header_hint(source, strict=True)}".rstrip()) from error


def _closed(source: Source, data: Data, *, auto: bool) -> Data:
    unused = unused_columns(source, data)
    refuse_bytes(source, [name for name in source.rows.column_names if name not in unused])
    refuse_leftovers(source, data, auto=auto)
    closed = close_codings(source, data, auto=auto)
    refuse_contradictions(source, closed, declared=bool(data.winner_coding))
    return closed


def _has_own_coding(data: Data, names: Sequence[str]) -> bool:
    """A declared coding of the winners wins over a layout that `auto` found, where there are winners to read by it."""
    if data.format != "auto" or not data.winner_coding or sides_by_name(data, names):
        return False
    return set(FIELDS["comparisons"]) <= columns_of(data, "comparisons", names, strict=False).keys()


def _first_row(source: Source) -> Row:
    return next(row for row in source.rows if BROKEN not in row)


def _without_counts(source: Source, form: str) -> list[str]:
    """The columns, of comparisons without `votes` and the like that hold no list with a vote of each annotator."""
    names = source.rows.column_names
    if form != "comparisons" or not (found := [name for name in names if usual_names("winners", [name])]):
        return names
    rows = [row for _, row in sample_rows(source, found)]
    return [name for name in names if name not in found or any(_are_votes(row[name]) for row in rows)]


def _are_votes(value: Any) -> bool:
    votes = votes_in(value, ())
    return bool(votes) and all(isinstance(vote, str | int | float) for vote in votes or [])


def _fits(form: str, columns: Mapping[str, list[str]], first: Row) -> bool:
    """Whether a source has this format, where its column names leave it open: its first row decides."""
    if form == "trees":
        value = first[columns["tree"][0]]
        return isinstance(value, Mapping) and "replies" in value
    if form == "round_robin":
        return len(columns["responses"]) > 2
    return True


def _resolved(data: Data, form: str, names: Sequence[str], columns: dict[str, list[str]]) -> Data:
    used = Counter(name for field, found in columns.items() if field != "category" for name in found)
    if any(count > 1 for count in used.values()):
        named = ", ".join(f"{KEY}.{field}: {', '.join(found)}" for field, found in columns.items())
        raise PipelineError(f"each field needs a column of its own, but two share one ({named}).")
    several = {"category", *_SEVERAL.get(form, ("winner",))}
    update = {field: found if field in several else found[0] for field, found in columns.items()}
    unused = {field: None for field in type(data.columns).model_fields if field not in columns}
    return data.model_copy(update={"format": form, "columns": data.columns.model_copy(update={**unused, **update})})


def prompts_by_file(sources: Sequence[Source], resolved: Sequence[Data]) -> list[Data]:
    """The settings, with the file's name as the prompt where texts have none and every file has a name of its own.

    Raises:
        PipelineError: a prompt is missing, and file names that differ in numbers only cannot be it.
    """
    own_names = {re.sub(r"\d+", "", source.name) for source in sources}
    filled = []
    for source, data in zip(sources, resolved, strict=True):
        if not _lacks_prompt(data, _first_row(source)):
            filled.append(data)
            continue
        if len(own_names) < max(2, len(sources)):
            raise PipelineError(
                f"{source.name} has responses but no column with their prompt. Name it in {KEY}.prompt; "
                f"{FILE_NAME} takes the name of the file."
            )
        filled.append(data.model_copy(update={"columns": data.columns.model_copy(update={"prompt": FILE_NAME})}))
    return filled


def _lacks_prompt(data: Data, first: Row) -> bool:
    columns = data.columns
    if columns.prompt is not None or data.format not in OPTIONAL or data.format == "preference_pairs":
        return False
    response = columns.response or columns.response_a or columns.responses
    value = first[response[0] if isinstance(response, list) else response] if response else None
    return data.format != "prompts" and not is_chat(unpack(value))


def describe_format(data: Data) -> str:
    """A resolved format in words: `comparisons: prompt = question, winner = vote1 + vote2`."""
    if data.format in LAYOUTS:
        kind = f", category = {' + '.join(data.columns.category)}" if data.columns.category else ""
        return f"{data.format}: {LAYOUTS[data.format].coding}{kind}"
    named = {field: name for field, name in data.columns.model_dump().items() if name is not None}
    fields = [f"{field} = {' + '.join(name) if isinstance(name, list) else name}" for field, name in named.items()]
    return f"{data.format}: {', '.join(fields)}"


def as_read(data: Data) -> Data:
    """A resolved `data` with the format of the rows that `select_fields` gives: of a layout its form."""
    return data.model_copy(update={"format": LAYOUTS[data.format].form}) if data.format in LAYOUTS else data


def select_fields(source: Source, data: Data, *, category: str = EVERYTHING) -> Iterable[Row]:
    """The rows with the columns that a resolved `data` names, under the names of their fields.

    A row of a layout is its PARTS. Several columns are `winner.0`, `winner.1`; those of `category` are one text.

    Args:
        category: of the rows of a source without a column for it.
    """
    if data.format in LAYOUTS:
        yield from laid_out(source, data, category)
        return
    renamed = {}
    for field in type(data.columns).model_fields:
        named = None if field == "category" else getattr(data.columns, field)
        if isinstance(named, str) and (field, named) != ("prompt", FILE_NAME):
            renamed[named] = field
        for number, name in enumerate(named if isinstance(named, list) else []):
            renamed[name] = f"{field}.{number}"
    fixed = {"prompt": _file_prompt(source.name)} if data.columns.prompt == FILE_NAME else {}
    kinds, decoder, numbers = data.columns.category or [], Decoder(data), bool(compared_by(data))
    # to read the other columns would take longer
    for row in source.rows.select_columns(list(dict.fromkeys([*renamed, *kinds]))):
        if BROKEN in row:
            yield row
            continue
        kind = category_of(row, kinds) if kinds else category
        fields = _with_votes({new: _opened(new, row[old]) for old, new in renamed.items()}, data)
        decoded = {**decoder.row(fields), **fixed, "category": kind}
        yield decoded if not numbers else _by_numbers(decoded, fields, data)


def _with_votes(fields: dict[str, Any], data: Data) -> dict[str, Any]:
    """The fields of a row, with each vote of a list in a winner of its own: `winner.0.0`, `winner.0.1`, ..."""
    if data.format != "comparisons":
        return fields
    texts = [fields.get("response_a"), fields.get("response_b")]
    for field in [name for name in fields if name.startswith("winner")]:
        if (votes := votes_in(fields[field], texts)) is not None:
            del fields[field]
            fields |= {f"{field}.{number}": vote for number, vote in enumerate(votes)}
    return fields


def _by_numbers(row: Row, fields: Row, data: Data) -> Row:
    """A comparison with the winner that its numbers say; ranks are no scores, of which more would be better."""
    ranks = are_ranks(data)
    try:
        winner = winner_by_numbers(fields if ranks else row, data)
    except Unreadable as reason:
        return {PARTS: [{BROKEN: str(reason), SEEN: reason.seen}], "category": row["category"]}
    kept = {name: value for name, value in row.items() if not (ranks and name.startswith("scores"))}
    return {**kept, "winner": winner}


def _opened(field: str, value: Any) -> Any:
    """Messages, and lists of responses and scores, that a table has as texts."""
    return unpack(value) if field in _TALK else structure(value) if field in _LISTS else value


def _file_prompt(name: str) -> str:
    return " ".join(re.split(r"[-_\s]+", Path(name).name.split(".")[0])).strip()
