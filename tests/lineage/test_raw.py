"""Raw rows by number and by text, from a file with the content that the run read."""

import json
from typing import Any

import pytest

from pipeline.lineage.raw import RawSources, row_text
from pipeline.lineage.source_files import SourceFiles
from pipeline.project.hashing import content_hash
from tests.lineage.conftest import RAW, SOURCES, Project


def sources(project: Project, **noted: Any) -> RawSources:
    """The sources of a run that read one file of three rows."""
    project.write(RAW, [{"text": f"row {number}", "more": {"deep": [number, "Nested"]}} for number in range(1, 4)])
    known = {"file": RAW, "md5": content_hash(project.root / RAW), "rows": 3, **noted}
    project.write(SOURCES, json.dumps({"sources": [known]}))
    project.stage("prepare_data", ["data/raw"], [SOURCES], {"data": {"split": "train"}})
    lock, contents = project.lock(), project.contents()
    return RawSources(SourceFiles(lock, contents))


def test_a_row_is_known_by_its_number_from_one(project: Project) -> None:
    raw = sources(project)
    assert raw.row(RAW, 1)["text"] == "row 1" and raw.row(RAW, 3)["text"] == "row 3"
    assert raw.row(RAW, 0) is None and raw.row(RAW, 4) is None and raw.row("other.jsonl", 1) is None
    assert raw.missing == []


def test_rows_are_found_by_what_any_field_says(project: Project) -> None:
    assert [(source, number) for source, number, _ in sources(project).containing("ROW  2")] == [(RAW, 2)]
    assert len(list(sources(project).containing("nested"))) == 3


def test_rows_of_another_content_are_not_shown_and_said_once(project: Project) -> None:
    raw = sources(project, md5="0" * 32)
    assert raw.row(RAW, 1) is None and raw.row(RAW, 2) is None and list(raw.containing("row")) == []
    (reason,) = raw.missing
    assert reason.startswith(f"{RAW}: another content")


def test_rows_that_are_counted_in_another_way_are_not_shown(project: Project) -> None:
    raw = sources(project, rows=4)
    assert raw.row(RAW, 1) is None and "has 3 rows as the code now reads it, and had 4" in raw.missing[0]


def test_a_cached_file_is_read_under_its_own_name(project: Project) -> None:
    """That of the cache is a hash, and says nothing of how the file is written."""
    project.write(RAW, [{"text": "row 1"}])
    project.stage("added", [], [RAW])
    known = {"file": RAW, "md5": content_hash(project.root / RAW), "rows": 1}
    project.write(SOURCES, json.dumps({"sources": [known]}))
    project.stage("prepare_data", ["data/raw"], [SOURCES])
    (project.root / RAW).unlink()
    lock, contents = project.lock(), project.contents()
    assert RawSources(SourceFiles(lock, contents)).row(RAW, 1) == {"text": "row 1"}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"a": "x", "b": [1, {"c": 2.5}]}, "x | 1 | 2.5"),
        ({"a": None, "b": True, "c": "", "d": "y"}, "y"),
        ("plain", "plain"),
        ([], ""),
    ],
)
def test_the_text_of_a_row_is_that_of_all_its_fields(row: Any, text: str) -> None:
    assert row_text(row) == text
