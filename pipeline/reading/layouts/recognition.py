"""Which layout a source has: by its columns, and by rows that say what the documentation of the layout says."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.layout import Layout
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.reasons import advise_reason
from pipeline.reading.rows import BROKEN, Row
from pipeline.reading.sources import Source

_SAMPLE = 200
_MOST_OTHERS = 0.1
_OTHERS = ("category", "annotator")
"""Fields of `data.columns` that go with a layout: the others are what it says itself."""
_BEGIN_WITH = ("text", "label")
_SAY_NOTHING = frozenset(
    {
        "tie",
        "no_winner",
        "empty_text",
        "empty_content",
        "empty_prompt",
        "no_shared_turn",
        "two_prompts",
        "fewer_than_two_responses",
        "tools_are_not_read",
        "media_are_not_read",
    }
)
"""Reasons that speak neither for a layout nor against it."""


def fits(layout: Layout, row: Row) -> tuple[bool | None, str, str]:
    """Whether a row says what the layout has it say, None where it leaves it open; the reason, and what was seen."""
    try:
        found = layout.convert(row)
    except Unreadable as error:
        return (None if str(error) in _SAY_NOTHING else False), str(error), error.seen
    decided = any("chosen" in one or "score" in one or set(_winners(one)) & {"a", "b"} for one in found)
    return (True if decided else None), "" if decided else "no_preference", ""


def _winners(converted: Row) -> Iterator[Any]:
    return (value for name, value in converted.items() if name.startswith("winner"))


def layout_of(source: Source, data: Data) -> Layout | None:
    """The layout that `data.format` names; with `auto`, the one that rows agree with, if the user says nothing else.

    Raises:
        PipelineError: they agree with two.
    """
    if data.format != "auto":
        return LAYOUTS.get(data.format)
    if _named(data, source):
        return None
    candidates = [layout for layout in LAYOUTS.values() if layout.may_be(source.rows.column_names)]
    found = [layout for layout in candidates if _agree(layout, _sample(source)) and _speaks(layout, source)]
    if len(found) > 1:
        raise PipelineError(
            f"{source.name} may have the layout {' or '.join(one.name for one in found)}. Name it in data.format."
        )
    return found[0] if found else None


def _named(data: Data, source: Source) -> dict[str, str]:
    """Fields with a column of the source that the user names, who knows better than a layout.

    The `text` and the `label` that params.yaml begins with are no choice.
    """
    fields = {name: value for name, value in data.columns.model_dump().items() if value and name not in _OTHERS}
    listed = {name: [value] if isinstance(value, str) else value for name, value in fields.items()}
    chosen = {name: found for name, found in listed.items() if found != [name] or name not in _BEGIN_WITH}
    return {name: " + ".join(found) for name, found in chosen.items() if set(found) & set(source.rows.column_names)}


def _speaks(layout: Layout, source: Source) -> bool:
    """Whether a row holds what only the layout reads; every row is looked at until one does."""
    names = [name for name in layout.speaks if name in source.rows.column_names]
    if not layout.speaks or any(_holds(row, names) for row in _sample(source)):
        return True
    rows = source.rows.select_columns(names)
    return any(_holds(row, names) for row in (rows[at] for at in range(len(source.rows))) if BROKEN not in row)


def _holds(row: Row, names: list[str]) -> bool:
    return any(row.get(name) not in (None, "", [], {}) for name in names)


def _sample(source: Source) -> list[Row]:
    step = max(1, len(source.rows) // _SAMPLE)
    rows = (source.rows[index] for index in range(0, len(source.rows), step))
    return [row for row in rows if BROKEN not in row]


def _agree(layout: Layout, rows: list[Row]) -> bool:
    counts = Counter(fits(layout, row)[0] for row in rows)
    return counts[True] > 0 and counts[False] <= _MOST_OTHERS * (counts[True] + counts[False])


def resembling(source: Source) -> str:
    """In words, which layouts have the columns of a source, and why its rows are not theirs; nothing where none has."""
    said = []
    for layout in LAYOUTS.values():
        if not layout.may_be(source.rows.column_names):
            continue
        judged = [fits(layout, row) for row in _sample(source)]
        why = _why(judged, False) or f"no row with a preference ({_why(judged, None)})"
        said.append(
            f"The columns are those of {layout.name} ({layout.origin}), which reads {layout.coding}; of "
            f"{len(judged)} rows looked at: {why}. data.format: {layout.name} reads what fits and drops the others."
        )
    return " ".join(said)


def _why(judged: list[tuple[bool | None, str, str]], verdict: bool | None) -> str:
    """Reasons of rows with this verdict: how often, the first value that was seen, and what to do."""
    reasons = Counter(reason for found, reason, _ in judged if found is verdict)
    seen = {reason: value for _, reason, value in reversed(judged)}
    return ", ".join(
        f"{count} {reason} ({f'such as {seen[reason]}; ' if seen[reason] else ''}{advise_reason(reason)})"
        for reason, count in reasons.most_common()
    )


def resolve(layout: Layout, source: Source, data: Data) -> Data:
    """`data` for a source with this layout: its name as the format, and no columns but those of the category.

    Raises:
        PipelineError: a column is missing, or `data.columns` names one that the layout names itself.
    """
    names = source.rows.column_names
    shown = [f"data.columns.{field}: {value}" for field, value in _named(data, source).items()]
    if data.format == layout.name and any(data.winner_coding.model_dump().values()):
        shown.append("data.winner_coding")
    if shown:
        raise PipelineError(
            f"data.format is {layout.name}, which says itself what the columns of {source.name} mean, but params.yaml "
            f"has {', '.join(shown)}. Set these to null, or name a format of docs/data.md that is no layout."
        )
    if not layout.may_be(names):
        needs = ", ".join(" or ".join(group) for group in layout.needs)
        raise PipelineError(
            f"data.format is {layout.name}, which needs the columns {needs}, but {source.name} has {', '.join(names)}."
        )
    columns = data.columns.model_copy(
        update={
            **dict.fromkeys(type(data.columns).model_fields),
            "annotator": next((one for one in (data.columns.annotator, layout.annotator) if one in names), None),
            "category": _category(layout, data.columns.category, names),
        }
    )
    return data.model_copy(update={"source": source.name, "format": layout.name, "columns": columns})


def _category(layout: Layout, named: str | list[str] | None, names: list[str]) -> list[str] | None:
    wanted = [named] if isinstance(named, str) else named
    if wanted and set(wanted) <= set(names) - set(layout.uses):
        return wanted
    usual = [name for name in (layout.category, "category", "subset", "task") if name in names]
    # a column that tells a layout may say the kind of prompt, too
    return [name for name in usual if name and (name == layout.category or name not in layout.uses)][:1] or None
