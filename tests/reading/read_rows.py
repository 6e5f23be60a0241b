"""Rows read as the pipeline reads them: format, entries, and the texts of a pair."""

from typing import Any

from datasets import Dataset

from pipeline.params.data import Data
from pipeline.reading.entries import read_entries
from pipeline.reading.entry import Entry
from pipeline.reading.formats import as_read, detect_format, select_fields
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style

TEXTS = ("Why?", "Yes", "No")
CHAT = ("\n\nHuman: Why?\n\nAssistant:", " Yes", " No")
JUDGED = """[User Question]
Why?

[The Start of Reference Answer]
Yes!
[The End of Reference Answer]

[The Start of Assistant A's Answer]
No
[The End of Assistant A's Answer]

[The Start of Assistant B's Answer]
Yes
[The End of Assistant B's Answer]"""


def read(rows: list[dict[str, Any]], data: Data, *, separator: str = "") -> tuple[str, list[Entry]]:
    """Format and entries of a source."""
    source = Source("rows.jsonl", Dataset.from_list(rows), 1.0)
    resolved = detect_format(source, data)
    return resolved.format, list(read_entries(select_fields(source, resolved), as_read(resolved), Style(separator)))


def texts(entry: Entry) -> tuple[str, ...]:
    assert entry.record is not None, entry.reason
    return tuple(entry.record[name] for name in ("prompt", "chosen", "rejected"))
