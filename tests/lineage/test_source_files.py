"""The files that prepare_data read, by what they held then."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.lineage.source_files import SourceFiles
from pipeline.project.hashing import content_hash
from tests.lineage.conftest import RAW, SOURCES, Project

ELSEWHERE = "elsewhere/b.jsonl"


def known(project: Project, *noted: dict[str, Any], params: dict[str, Any] | None = None) -> SourceFiles:
    """As a run has noted them, of what lies there now where no hash is given."""
    project.write(SOURCES, json.dumps({"sources": noted}))
    project.stage("prepare_data", ["data/raw"], [SOURCES], params)
    return SourceFiles(project.lock(), project.contents())


@pytest.fixture
def written(project: Project) -> Project:
    project.write(RAW, "raw rows\n")
    project.write(ELSEWHERE, "other rows\n")
    return project


def noted(project: Project, path: str = RAW) -> dict[str, Any]:
    return {"file": path, "md5": content_hash(project.root / path), "rows": 1}


def test_a_file_that_is_what_it_was_is_read_where_it_lies(written: Project) -> None:
    files = known(written, noted(written))
    source = files.all[RAW]
    assert files.state(source) is None and files.locate(source) == written.root / RAW and source.rows == 1


def test_a_changed_file_is_said_with_both_hashes_and_not_read(written: Project) -> None:
    then = content_hash(written.root / RAW)
    known(written, noted(written))
    written.write(RAW, "forged\n")
    files = SourceFiles(written.lock(), written.contents())
    now = content_hash(written.root / RAW)
    state = files.state(files.all[RAW])
    assert state == f"{RAW}: another content ({now[:12]}) than prepare_data read ({then[:12]})"
    assert files.find(files.all[RAW]) is None
    with pytest.raises(PipelineError, match="its rows are not shown"):
        files.locate(files.all[RAW])


def test_a_renamed_file_is_found_by_its_content(written: Project) -> None:
    known(written, noted(written))
    (written.root / RAW).rename(written.root / "data/raw/new.jsonl")
    files = SourceFiles(written.lock(), written.contents())
    assert files.state(files.all[RAW]) == f"{RAW}: missing; data/raw/new.jsonl has its content"
    assert files.locate(files.all[RAW]) == written.root / "data/raw/new.jsonl"


def test_without_a_hash_of_its_own_a_file_is_known_by_the_folder_that_dvc_watches(written: Project) -> None:
    known(written, {"file": RAW}, {"file": ELSEWHERE})
    files = SourceFiles(written.lock(), written.contents())
    assert files.locate(files.all[RAW]) == written.root / RAW
    with pytest.raises(PipelineError, match=f"nothing says what {ELSEWHERE} held"):
        files.locate(files.all[ELSEWHERE])
    written.write("data/raw/beside.jsonl", "came\n")
    files = SourceFiles(written.lock(), written.contents())
    with pytest.raises(PipelineError, match=r"data/raw has changed since prepare_data ran"):
        files.locate(files.all[RAW])


def test_a_hub_is_not_asked(written: Project) -> None:
    files = known(written, {"file": "hub:someone/rows", "md5": None, "rows": 5})
    source = files.all["hub:someone/rows"]
    assert files.state(source) is None and files.find(source) is None
    with pytest.raises(PipelineError, match="is a data set on a hub"):
        files.locate(source)


def test_parameters_are_those_of_the_run_and_may_be_older_than_this_version(written: Project) -> None:
    files = known(written, noted(written), params={"data": {"split": "test", "max_row_megabytes": 2}})
    assert (files.split, files.largest_row) == ("test", 2)
    files = known(written, noted(written))
    assert (files.split, files.largest_row) == ("train", None)


def test_without_the_report_nothing_is_known_and_the_reason_is_said(written: Project) -> None:
    files = known(written, noted(written))
    assert files.missing is None
    written.cached(content_hash(written.root / SOURCES)).unlink()
    Path(written.root / SOURCES).unlink()
    files = SourceFiles(written.lock(), written.contents())
    assert files.all == {} and files.missing is not None and SOURCES in files.missing
