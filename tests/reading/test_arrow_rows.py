"""Rows of Parquet and Arrow, one by one and in parts, here and in another process."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.processes import map_in_processes
from pipeline.reading import arrow_rows
from pipeline.reading.arrow_rows import ArrowRows, load_arrow_rows

ROWS: list[dict[str, Any]] = [
    {"text": f"é {at}", "turns": [{"role": "user", "content": str(at)}] * (at % 3), "when": datetime.date(2020, 1, 1)}
    for at in range(700)
]


@pytest.fixture
def rows(tmp_path: Path) -> ArrowRows:
    parquet.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet", row_group_size=300)
    return load_arrow_rows(tmp_path / "rows.parquet", limit=10_000)


def test_rows_come_as_they_were_written(rows: ArrowRows, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(rows) == len(ROWS) and list(rows) == ROWS
    assert [rows[at] for at in (0, 299, 300, 699, -1)] == [ROWS[at] for at in (0, 299, 300, 699, -1)]
    with pytest.raises(IndexError):
        rows[700]
    chosen = rows.select_columns(["when", "text"])
    assert chosen.column_names == ["when", "text"] and chosen[5] == {name: ROWS[5][name] for name in ("when", "text")}
    for indices in ([], [3], range(250, 520), [0, 1, 2, 255, 256, 600, 699]):
        part = rows.select(indices)
        assert list(part) == [ROWS[at] for at in indices] and part.column_names == rows.column_names
    monkeypatch.setattr(arrow_rows, "_LARGE", 10)
    assert list(rows) == ROWS


@dataclass(frozen=True)
class Reading:
    rows: ArrowRows

    def __call__(self, positions: range) -> list[Any]:
        return [self.rows[at] for at in positions]


def test_another_process_reads_the_same_rows(rows: ArrowRows, tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").unlink()
    part = rows.select(range(100, 110))
    for own, expected in ((rows, ROWS[600:603]), (part, ROWS[102:105])):
        start = 600 if own is rows else 2
        assert list(map_in_processes(Reading(own), [range(start, start + 3)], processes=2)) == [expected]
