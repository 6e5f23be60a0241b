"""Tables whose lines are sentences: plain text under the name of a table."""

import csv
import re
from itertools import islice

from pipeline.reading.rows import BROKEN, Row, Rows, SpanRows

_READ = 100
_UNEVEN = 0.1
"""Share of the rows with more cells than there are names, above which a file is not taken for a table."""
_TABLE = re.compile(r"\.(csv|tsv)(\.\w+)?$", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?:;…]$|^\W|\S+(\s+\S+){3,}")
"""A name that ends as a sentence, begins with a mark such as # or -, or has four words or more."""


def text_hint(name: str, rows: Rows, *, unnamed: bool) -> str:
    """What to do where a table that fits nothing looks like plain text; nothing where it does not.

    Args:
        name: of the file.
        rows: what was read of it.
        unnamed: a table without a header line.
    """
    if not isinstance(rows, SpanRows) or not _TABLE.search(name) or not _is_text(rows, unnamed=unnamed):
        return ""
    shown = "" if unnamed else f" (its first line begins with {rows.column_names[0]!r})"
    return (
        f"It looks like plain text, not like a table{shown}. Write each text as a line of JSON, "
        '{"prompt": "..."} or {"text": "..."}, into a file whose name ends with .jsonl.'
    )


def _is_text(rows: SpanRows, *, unnamed: bool) -> bool:
    widths = {_width(row) for row in islice(rows, _READ)}
    if len(rows.broken) > _UNEVEN * len(rows) and len(widths) > 2:
        return True
    uneven = len(rows.column_names) == 1 or len(widths) > 1
    return uneven and (unnamed or any(map(_SENTENCE.search, rows.column_names)))


def _width(row: Row) -> int:
    """Cells that are not empty."""
    cells = next(csv.reader([row["line"]]), []) if BROKEN in row else row.values()
    return sum(bool(cell) for cell in cells)
