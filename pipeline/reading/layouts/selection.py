"""The rows of a source with a layout, each as the preferences that it stands for."""

from collections.abc import Iterator
from typing import Any

from pipeline.params.data import Data
from pipeline.reading.categories import category_of
from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.rows import BROKEN, PARTS, SEEN, Row
from pipeline.reading.sources import Source
from pipeline.reading.written_messages import unpack


def laid_out(source: Source, data: Data, category: str) -> Iterator[Row]:
    """A row for each of the source: its PARTS, and its category.

    Args:
        source: with the layout that `data.format` names.
        data: resolved.
        category: of the rows of a source without a column for it.
    """
    layout, kinds, who = LAYOUTS[data.format], data.columns.category or [], data.columns.annotator
    wanted = dict.fromkeys([*layout.uses, *kinds, *([who] if who else [])])
    for row in source.rows.select_columns([name for name in wanted if name in source.rows.column_names]):
        if BROKEN in row:
            yield row
            continue
        vote = {"annotator": row[who]} if who else {}
        parts = [{**_unpacked(part), **vote} for part in _convert(layout, row)]
        yield {PARTS: parts, "category": category_of(row, kinds) if kinds else category}


def _convert(layout: Layout, row: Row) -> Converted:
    try:
        return layout.convert(row)
    except Unreadable as reason:
        return [{BROKEN: str(reason), SEEN: reason.seen}]


def _unpacked(part: Row) -> dict[str, Any]:
    """The part with a prompt that the row has as the JSON of messages."""
    return {**part, "prompt": unpack(part["prompt"])} if "prompt" in part else dict(part)
