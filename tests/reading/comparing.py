"""Comparisons of which the verdicts are known, written as rows and read again."""

from typing import Any

from datasets import Dataset

from pipeline.params.data import Data
from pipeline.reading.entries import read_entries
from pipeline.reading.entry import Entry
from pipeline.reading.formats import as_read, detect_format, select_fields
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style


def read(rows: list[dict[str, Any]], data: Data) -> list[Entry]:
    """Entries of a source that data leaves to be found out."""
    # as texts where a column mixes kinds of values, which Arrow cannot hold
    if len({type(row["winner"]) for row in rows if "winner" in row}) > 1:
        rows = [{**row, "winner": str(row["winner"])} for row in rows]
    source = Source("rows.jsonl", Dataset.from_list(rows), 1.0)
    resolved = detect_format(source, data)
    return list(read_entries(select_fields(source, resolved), as_read(resolved), Style()))


def written(found: list[str], coding: tuple[Any, ...], names: tuple[str, str]) -> list[dict[str, Any]]:
    """Rows with verdicts (a, b or t) in the values of a coding for them."""
    values = dict(zip("abt", coding, strict=True))
    return [
        {"prompt": f"Q{at}", names[0]: f"one {at}", names[1]: f"two {at}", "winner": values[verdict]}
        for at, verdict in enumerate(found)
    ]


def expected(at: int, verdict: str) -> Any:
    """What the sides of such a row's entry are."""
    one, two = f"one {at}", f"two {at}"
    return {"a": (one, two), "b": (two, one), "t": "tie"}[verdict]


def sides(entry: Entry) -> Any:
    """Chosen and rejected response, or the reason why there are none."""
    return (entry.record["chosen"], entry.record["rejected"]) if entry.record else entry.reason
