"""Benchmark files in every form, and what is said of those that cannot be read."""

import gzip
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
    (tmp_path / "f.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "G.JSONL.GZ").write_bytes(gzip.compress(lines.encode()))
    for name in ("a.json", "b.jsonl", "c.json", "d.parquet", "e.jsonl", "f.jsonl.gz", "G.JSONL.GZ"):
        assert read_rows(str(tmp_path / name)) == ROWS, name


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"[1]", "no row can be read .not_an_object"),
        ("a.json", b'[{"a": 1}, 1]', "row 2: not_an_object: 1"),
        ("a.json", b"[{]", "a.json: cannot be read"),
        ("a.jsonl", b'{"a": 1}\n{', "a.jsonl, row 2: malformed_json: {"),
        ("a.jsonl", b'{"a": 1}\n{"a": "caf\xe9"}', "row 2: not_utf8"),
        ("a.jsonl", '{"a": 1}'.encode("utf-16"), "it is UTF-16"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}', mtime=0)[:-4], "cut short"),
        ("a.jsonl", b"\n", "no row can be read"),
        ("a.json", b"[]", "no row can be read"),
        ("a.csv", b"a,b\n", "use .json or .jsonl"),
        ("a.parquet", b"nothing", "a.parquet: cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=message):
        read_rows(str(tmp_path / name))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(PipelineError, match=r"nowhere\.json: no such file"):
        read_rows("nowhere.json")
