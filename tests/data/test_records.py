"""Records: stable ids, folding, and JSON Lines that name what is wrong with them."""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.data.records import fold, read_records, read_rows, record_id, write_records
from pipeline.data.table_rows import LabelRow
from pipeline.errors import PipelineError


def test_an_id_is_the_start_of_the_sha256() -> None:
    assert record_id("abc") == hashlib.sha256(b"abc").hexdigest()[:16] == "ba7816bf8f01cfea"


def test_ids_tell_where_one_text_ends_and_the_next_begins() -> None:
    assert len({record_id("ab", "c"), record_id("a", "bc"), record_id("abc"), record_id("c", "ab")}) == 4


def test_a_lone_surrogate_has_an_id() -> None:
    assert record_id("\ud800") != record_id("\ud801")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The  Film\tis\n", "the film is"),
        ("caf\u00e9", "cafe\u0301"),
        ("STRASSE", "straße"),
        ("a\u00a0b", "a b"),
    ],
)
def test_texts_that_people_read_alike_fold_alike(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_different_words_fold_apart() -> None:
    assert fold("a film") != fold("afilm")


ROWS = [
    {"id": "b", "text": "line\nbreak, \u2028 and \x85"},
    {"text": "caf\u00e9 \U0001f600 \ud800", "id": "a", "nested": {"z": None, "a": [1, 2.5, True]}},
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "folder/rows.jsonl"
    write_records(path, ROWS)
    assert read_records(path, fields=("id", "text")) == ROWS
    assert len(path.read_bytes().split(b"\n")) == 3


def test_keys_are_sorted_so_that_bytes_follow_content(tmp_path: Path) -> None:
    write_records(tmp_path / "a.jsonl", [{"b": 1, "a": 2}])
    write_records(tmp_path / "b.jsonl", [{"a": 2, "b": 1}])
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes() == b'{"a": 2, "b": 1}\n'


def test_nothing_is_an_empty_file(tmp_path: Path) -> None:
    write_records(tmp_path / "rows.jsonl", [])
    assert read_records(tmp_path / "rows.jsonl") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [("{not json", "not JSON"), ('{"id": 1}', "lacks text"), ("[1, 2]", "not an object but a list"), ("", "not JSON")],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n" + line + "\n")
    with pytest.raises(PipelineError, match=message) as error:
        read_records(path, fields=("id", "text"))
    assert f"{path}, line 2" in str(error.value)


def test_a_line_that_is_no_object_is_named_even_without_fields(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("[1, 2]\n")
    with pytest.raises(PipelineError, match="line 1"):
        read_records(path)


def test_rows_of_a_kind_have_its_required_keys(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    row = {"id": "0", "text": "so", "label": 1}
    write_records(path, [row])
    assert read_rows(path, LabelRow) == [row], "a prompt is not required"
    write_records(path, [{"id": "0", "label": 1}])
    with pytest.raises(PipelineError, match=r"labels\.jsonl, line 1: lacks text"):
        read_rows(path, LabelRow)
