"""Rows with a text in them: the first ones are shown, all are counted."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.lineage.search import Finding, find_text
from tests.lineage.conftest import Project


class Rows:
    """Raw rows that have the text, and none else."""

    def __init__(self, *rows: tuple[str, int, str]) -> None:
        self.rows = rows

    def containing(self, text: str) -> Any:
        return iter(self.rows)


@pytest.fixture
def written(project: Project) -> Project:
    rows = [{"id": f"{number}", "prompt_id": "needle", "prompt": f"a Needle {number}"} for number in range(4)]
    for path in ("artifacts/data/a.jsonl", "artifacts/elsewhere/a.jsonl", "reports/policies/verdicts.jsonl"):
        project.write(path, rows)
    project.write("artifacts/preferences/p.jsonl", [{"id": "needle", "chosen": "straw"}, {"chosen": "NEEDLE\nwork"}])
    project.write("artifacts/data/notes.txt", "needle")
    project.write("artifacts/data/fates.jsonl", [{"source": "raw", "row": 2, "id": "f", "fate": "used.needle"}])
    project.stage("prepare_data", [], ["artifacts/data"])
    project.stage("rest", [], ["artifacts/elsewhere", "artifacts/preferences/p.jsonl", "reports/policies"])
    return project


def find(project: Project, text: str, raw: Rows | None = None, *, limit: int = 99) -> Any:
    return find_text(text, project.lock(), project.contents(), raw or Rows(), limit=limit)  # type: ignore[arg-type]


def test_texts_of_data_pairs_and_samples_are_searched_and_ids_and_verdicts_are_not(written: Project) -> None:
    found, counts = find(written, "needle")
    assert counts == {"artifacts/data/a.jsonl": 4, "artifacts/preferences/p.jsonl": 1}
    assert [hit.id for hit in found] == ["0", "1", "2", "3", None]
    assert all(hit.row is None and hit.fate is None for hit in found)


def test_raw_rows_come_first_with_the_fate_that_they_had(written: Project) -> None:
    found, counts = find(written, "needle", Rows(("raw", 2, "x needle"), ("raw", 3, "needle")), limit=3)
    assert found[:2] == [
        Finding("raw", "x needle", "f", 2, "used.needle"),
        Finding("raw", "needle", None, 3, None),
    ]
    assert len(found) == 3 and sum(counts.values()) == 7, "what is not shown is counted"
    found, counts = find(written, "needle", Rows(("raw", 2, "x needle"), ("raw", 3, "needle")), limit=1)
    assert [hit.row for hit in found] == [2] and counts["raw"] == 2


def test_white_space_and_case_are_as_in_the_text_or_not(written: Project) -> None:
    assert find(written, "needle  WORK")[1] == {"artifacts/preferences/p.jsonl": 1}
    assert find(written, "needlework")[1] == {}


def test_a_long_text_is_shown_around_the_hit(written: Project) -> None:
    long = f"{'b' * 500}needle{'e' * 500}"
    (hit,), _ = find(written, "NEEDLE", Rows(("raw", 1, long)), limit=1)
    assert hit.text == f"… {'b' * 120}needle{'e' * 120}"


def test_a_file_whose_version_is_nowhere_has_no_hits(written: Project) -> None:
    lock, path = written.lock(), "artifacts/preferences/p.jsonl"
    md5 = next(out.md5 for out in lock.stages["rest"].outputs if out.path == path)
    written.cached(md5).unlink()
    Path(written.root / path).write_text("needle\n")
    assert find_text("work", lock, written.contents(), Rows(), limit=9) == ([], {})  # type: ignore[arg-type]
