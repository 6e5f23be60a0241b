"""The files that prepare_data writes: a table for each use, and what became of every raw row."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.data.fates import Fate, dropped_reason, raw_rows_of
from pipeline.data.preparation import PreparedData
from pipeline.data.records import write_records
from pipeline.data.table_writing import Table, write_tables
from pipeline.reading.sources import Source


class QuarantinedRow(Fate):
    """A row of artifacts/data/quarantine.jsonl: `fate` is the reason alone, `seen` None where it is not known."""

    value: Any
    """The raw row, as its source has it."""


def write_prepared(
    prepared: PreparedData,
    pairs: Sequence[Mapping[str, object]],
    sources: Sequence[Source],
    folder: Path,
    *,
    processes: int,
) -> None:
    """Write labels, texts and prompts of each split, the pairs, the fates, and the dropped rows.

    Args:
        pairs: rows of the table of pairs that the records of `prepared.paired` give.
        sources: the sources that were read.
        folder: the folder artifacts/data.
        processes: the most processes that write, where there are many rows.

    Raises:
        PipelineError: naming file, row and column of what a schema refuses.
    """
    kinds: dict[str, Mapping[str, Sequence[Mapping[str, object]]]] = {
        "labels": prepared.labels,
        "texts": prepared.texts,
        "prompts": prepared.prompts,
    }
    tables = [
        Table(folder / kind / f"{split}.jsonl", rows, kind) for kind, of in kinds.items() for split, rows in of.items()
    ]
    write_tables([*tables, Table(folder / "pairs.jsonl", pairs, "pairs")], processes=processes)
    write_records(folder / "fates.jsonl", prepared.fates)
    write_records(folder / "quarantine.jsonl", _quarantined(prepared, sources))


def _quarantined(prepared: PreparedData, sources: Sequence[Source]) -> Iterator[QuarantinedRow]:
    """Every dropped row, as its source has it."""
    raw_row = raw_rows_of(sources)
    for fate in prepared.fates:
        if (reason := dropped_reason(fate)) is not None:
            value = json.loads(json.dumps(raw_row(fate), default=str))
            row: QuarantinedRow = {**fate, "fate": reason, "value": value}
            row.setdefault("seen", None)
            yield row
