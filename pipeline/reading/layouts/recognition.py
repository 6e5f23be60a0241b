"""Which layout a source has: by its columns, and by rows that say what the documentation of the layout says."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import PipelineError
from pipeline.params.schema import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.layout import Layout, Row
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.rows import BROKEN
from pipeline.reading.sources import Source

_SAMPLE = 200
_MOST_OTHERS = 0.1
_FIELDS = ("prompt", "chosen", "rejected", "response_a", "response_b", "winner", "responses", "scores", "response")
"""Of `data.columns`: a user who names one of them knows better than a layout."""
_SAY_NOTHING = frozenset(
    {
        "tie",
        "no_winner",
        "empty_text",
        "empty_prompt",
        "no_shared_turn",
        "two_prompts",
        "fewer_than_two_responses",
        "tools_are_not_read",
        "media_are_not_read",
    }
)
"""Reasons that speak neither for a layout nor against it."""


def fits(layout: Layout, row: Row) -> tuple[bool | None, str]:
    """Whether a row says what the layout has it say, None where it leaves it open; and the reason."""
    try:
        found = layout.convert(row)
    except Unreadable as error:
        return (None if str(error) in _SAY_NOTHING else False), str(error)
    decided = any("chosen" in one or "score" in one or set(_winners(one)) & {"a", "b"} for one in found)
    return (True if decided else None), ""


def _winners(converted: Mapping[str, Any]) -> Iterator[Any]:
    return (value for name, value in converted.items() if name.startswith("winner"))


def layout_of(source: Source, data: Data) -> Layout | None:
    """The layout that `data.format` names; with `auto`, the one that rows agree with, if the user says nothing else.

    Raises:
        PipelineError: they agree with two.
    """
    if data.format != "auto":
        return LAYOUTS.get(data.format)
    names = source.rows.column_names
    named = [getattr(data.columns, field) for field in _FIELDS]
    if any(set([one] if isinstance(one, str) else one) & set(names) for one in named if one):
        return None
    candidates = [layout for layout in LAYOUTS.values() if layout.may_be(names)]
    found = [layout for layout in candidates if _agree(layout, _sample(source))]
    if len(found) > 1:
        raise PipelineError(
            f"{source.name} may have the layout {' or '.join(one.name for one in found)}. Name it in data.format."
        )
    return found[0] if found else None


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
        against = Counter(reason for verdict, reason in judged if verdict is False)
        why = ", ".join(f"{count} {reason}" for reason, count in against.most_common()) or "no row with a preference"
        said.append(
            f"The columns are those of {layout.name} ({layout.origin}), which reads {layout.coding}; of "
            f"{len(judged)} rows looked at: {why}. data.format: {layout.name} reads what fits and drops the others."
        )
    return " ".join(said)


def resolve(layout: Layout, source: Source, data: Data) -> Data:
    """`data` for a source with this layout: its name as the format, and no columns but those of the category.

    Raises:
        PipelineError: a column is missing.
    """
    names = source.rows.column_names
    if not layout.may_be(names):
        needs = ", ".join(" or ".join(group) for group in layout.needs)
        raise PipelineError(
            f"data.format is {layout.name}, which needs the columns {needs}, but {source.name} has {', '.join(names)}."
        )
    columns = data.columns.model_copy(
        update={
            **dict.fromkeys(type(data.columns).model_fields),
            "annotator": layout.annotator if layout.annotator in names else None,
            "category": _category(layout, data.columns.category, names),
        }
    )
    return data.model_copy(update={"source": source.name, "format": layout.name, "columns": columns})


def _category(layout: Layout, named: str | list[str] | None, names: list[str]) -> list[str] | None:
    wanted = [named] if isinstance(named, str) else named
    if wanted and set(wanted) <= set(names) - set(layout.uses):
        return wanted
    usual = [name for name in (layout.category, "category", "subset", "task") if name in names]
    return [name for name in usual if name and name not in layout.uses][:1] or None
