"""Benchmark files in every form, and what is said of those that cannot be read."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import PipelineError
from pipeline.external.rows import read_rows

ROWS = [{"prompt": "a\u2028b", "subset": "x"}, {"prompt": "c", "subset": "y"}]


def test_the_same_rows_from_every_form(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n\n"
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    (tmp_path / "b.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "c.json").write_text(lines, encoding="utf-8")
    pd.DataFrame(ROWS).to_parquet(tmp_path / "d.parquet")
    (tmp_path / "e.jsonl").write_text(lines, encoding="utf-8-sig")
    for name in ("a.json", "b.jsonl", "c.json", "d.parquet", "e.jsonl"):
        assert read_rows(str(tmp_path / name)) == ROWS, name


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "[1]", "row 1: not an object but a int"),
        ("a.json", "[{]", "a.json: not JSON"),
        ("a.jsonl", '{"a": 1}\n{', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", "\n", "has no rows"),
        ("a.json", "[]", "has no rows"),
        ("a.csv", "a,b\n", "cannot read .csv files"),
        ("a.parquet", "nothing", "a.parquet: cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(PipelineError, match=message):
        read_rows(str(tmp_path / name))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(PipelineError, match=r"nowhere\.json: no such file"):
        read_rows("nowhere.json")
