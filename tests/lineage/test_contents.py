"""Files by their content hash: from the cache, the working folder where they are unchanged, or git."""

import json
from pathlib import Path

import pytest

from pipeline.lineage.contents import Contents
from pipeline.project.hashing import content_hash
from pipeline.project.lockfile import Artifact
from tests.lineage.commands import git
from tests.lineage.conftest import Project

TRAIN = "artifacts/preferences/accepted/train.jsonl"


def test_an_edited_file_of_the_cache_is_not_read(rlhf: Project) -> None:
    contents = rlhf.contents()
    md5 = contents.current_hash(TRAIN)
    assert md5 is not None
    file = rlhf.cached(md5)
    file.chmod(0o644)
    file.write_bytes(b'{"id": "forged"}\n')
    lines = rlhf.contents().lines(TRAIN, md5)
    assert lines is not None and "forged" not in "".join(lines)
    rlhf.write(TRAIN, "neither")
    assert rlhf.contents().lines(TRAIN, md5) is None


@pytest.fixture
def kept(project: Project) -> Project:
    """A file and a folder that a stage wrote, cached."""
    project.write("rows.jsonl", [{"id": "1"}, {"id": "2"}])
    project.write("folder/a.jsonl", [{"id": "3"}])
    project.write("folder/deep/b.txt", "b")
    project.stage("writer", [], ["rows.jsonl", "folder"])
    return project


def out(project: Project, path: str) -> Artifact:
    return next(item for item in project.lock().stages["writer"].outputs if item.path == path)


def test_a_content_is_found_in_the_cache_else_here_else_in_git(kept: Project) -> None:
    rows = out(kept, "rows.jsonl")
    git(kept.root, "init", "-q")
    git(kept.root, "add", "rows.jsonl")
    git(kept.root, "commit", "-qm", "rows")
    assert kept.contents().locate(*vars(rows).values()) == kept.cached(rows.md5)
    kept.cached(rows.md5).unlink()
    assert kept.contents().locate(rows.path, rows.md5) == kept.root / "rows.jsonl"
    kept.write("rows.jsonl", "later")
    contents = kept.contents()  # what is of git is a copy, as long as this lives
    found = contents.locate(rows.path, rows.md5)
    assert found is not None and content_hash(found) == rows.md5 and found.name == "rows.jsonl"
    assert contents.locate(rows.path, "0" * 32) is None


def test_a_revision_has_the_hashes_of_git_and_the_working_folder_its_own(kept: Project) -> None:
    git(kept.root, "init", "-q")
    git(kept.root, "add", "rows.jsonl")
    git(kept.root, "commit", "-qm", "rows")
    then = content_hash(kept.root / "rows.jsonl")
    kept.write("rows.jsonl", "later")
    past = Contents(kept.root, revision="HEAD")
    assert past.current_hash("rows.jsonl") == then and past.current_hash("folder/a.jsonl") is None
    assert past.hash_here("rows.jsonl") == kept.contents().current_hash("rows.jsonl") != then
    assert kept.contents().current_hash("absent") is None


def test_the_files_of_a_folder_are_those_of_then(kept: Project) -> None:
    folder = out(kept, "folder")
    expected = {path: content_hash(kept.root / path) for path in ("folder/a.jsonl", "folder/deep/b.txt")}
    assert kept.contents().files(folder) == expected
    kept.cached(folder.md5).unlink()
    assert kept.contents().files(folder) == expected, "as they lie there, which is the same version"
    kept.write("folder/new.txt", "new")
    assert kept.contents().files(folder) is None
    assert kept.contents().files(Artifact("x.bin", "m")) == {"x.bin": "m"}


def test_rows_are_read_without_blank_lines_and_all_or_none(kept: Project) -> None:
    kept.write("rows.jsonl", '{"id": "1"}\n\n  \n{"id": "2"}\n')
    kept.stage("writer", [], ["rows.jsonl", "folder"])
    rows, folder = out(kept, "rows.jsonl"), out(kept, "folder")
    assert kept.contents().records(rows.path, rows.md5) == [{"id": "1"}, {"id": "2"}]
    assert kept.contents().record_files(folder) == {"folder/a.jsonl": [{"id": "3"}]}
    kept.cached(content_hash(kept.root / "folder/a.jsonl")).unlink()
    (kept.root / "folder/a.jsonl").unlink()
    assert kept.contents().record_files(folder) is None


def test_the_files_below_a_folder_come_in_order_with_their_hashes(kept: Project) -> None:
    found = [(file.relative_to(kept.root).as_posix(), md5) for file, md5 in kept.contents().hashes_below("folder")]
    assert found == [(path, content_hash(kept.root / path)) for path in ("folder/a.jsonl", "folder/deep/b.txt")]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("1\n2\n3\n", "1\nx\ny\n", "rows.jsonl: changed from line 2 on (2 lines differ)"),
        ("1\n2\n3\n", "1\n2\n", "rows.jsonl: 2 lines instead of 3"),
    ],
)
def test_a_difference_names_the_first_line(project: Project, before: str, after: str, said: str) -> None:
    project.write("rows.jsonl", before)
    project.stage("writer", [], ["rows.jsonl"])
    project.write("rows.jsonl", after)
    assert project.contents().difference(out(project, "rows.jsonl")) == said


def test_the_difference_of_a_folder_names_every_file(kept: Project) -> None:
    (kept.root / "folder/a.jsonl").unlink()
    kept.write("folder/c.txt", "c")
    kept.write("folder/deep/b.txt", "other")
    said = kept.contents().difference(out(kept, "folder"))
    assert said.split("; ") == [
        "folder/c.txt: added",
        "folder/a.jsonl: missing",
        "folder/deep/b.txt: changed from line 1 on (1 lines differ)",
    ]


def test_what_is_gone_and_what_cannot_be_compared_is_said(kept: Project) -> None:
    folder = out(kept, "folder")
    kept.cached(folder.md5).write_text(json.dumps([]))
    kept.write("folder/a.jsonl", "other")
    assert "the version of the run is not in the DVC cache" in kept.contents().difference(folder)
    (kept.root / "rows.jsonl").unlink()
    assert "rows.jsonl: missing; `dvc checkout`" in kept.contents().difference(out(kept, "rows.jsonl"))


def test_paths_are_those_of_the_project(tmp_path: Path) -> None:
    contents = Contents(tmp_path)
    assert contents.relative(contents.full("a/b")) == "a/b" and contents.relative(Path("/etc/x")) == "/etc/x"
