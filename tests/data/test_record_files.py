"""A file of records as a sequence."""

import pickle
from pathlib import Path

import pytest

from pipeline.data import record_files
from pipeline.data.record_files import RecordFile
from pipeline.data.records import read_records, write_records
from pipeline.errors import PipelineError

ROWS = [{"id": str(number), "text": "caf\u00e9\n" * number} for number in range(7)]


@pytest.mark.parametrize("block", [1, 5, 2**24])
def test_rows_are_those_that_were_written(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_files, "_BLOCK", block)
    monkeypatch.setattr(record_files, "_ROWS", 3)
    write_records(tmp_path / "rows.jsonl", ROWS)
    rows = RecordFile(tmp_path / "rows.jsonl")
    assert len(rows) == 7 and list(rows) == ROWS == read_records(rows.path)
    assert rows[2] == ROWS[2] and rows[-1] == ROWS[-1] and rows[1:5:2] == ROWS[1:5:2]
    assert b"".join(line + b"\n" for line in rows.lines(2, 5)) == b"".join(rows.path.read_bytes().splitlines(True)[2:5])
    assert list(pickle.loads(pickle.dumps(rows))) == ROWS
    with pytest.raises(IndexError):
        rows[7]


def test_an_empty_file_and_one_without_a_last_line_end(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    assert list(RecordFile(tmp_path / "none.jsonl")) == []
    write_records(tmp_path / "written.jsonl", [])
    assert (tmp_path / "written.jsonl").stat().st_size > 0, "DVC warns of every output without a byte"
    assert list(RecordFile(tmp_path / "written.jsonl")) == read_records(tmp_path / "written.jsonl") == []
    assert RecordFile(tmp_path / "written.jsonl").sizes.tolist() == []
    (tmp_path / "open.jsonl").write_text('{"a": 1}\n{"a": 2}')
    assert list(RecordFile(tmp_path / "open.jsonl")) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(("line", "said"), [("{", "not JSON"), ("", "not JSON"), ("[1]", "not an object but a list")])
def test_a_bad_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n{{"a": 2}}\n')
    rows = RecordFile(path)
    assert rows[0] == {"a": 1} and rows[2] == {"a": 2}
    with pytest.raises(PipelineError, match=rf"rows\.jsonl, line 2: {said}"):
        list(rows)
