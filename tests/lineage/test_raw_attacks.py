"""Raw files that were edited, renamed, removed or replaced after the run: said clearly, and never a wrong row."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.lineage import __main__ as command
from pipeline.lineage.source_files import STAGE
from pipeline.project import lockfile
from pipeline.project.hashing import content_hash
from tests.lineage.commands import Audit, audit_in, git
from tests.lineage.conftest import PROMPT, RAW, SOURCES, Project

DPO = "artifacts/policies/dpo/seed-0"
RIGHT = "row 3 says Why?"


def committed(project: Project) -> None:
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a run"]):
        git(project.root, *arguments)


@pytest.fixture
def ran(rlhf: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A run, with what the command asks DVC for answered without it."""
    rlhf.write("params.yaml", f"data:\n  source: {RAW}\njudge:\n  kind: classifier\n")
    rlhf.lock()
    monkeypatch.setattr(lockfile, "stage_names", lambda *_, **__: set(rlhf.entries))
    monkeypatch.setattr(command, "cached_outputs", lambda *_, **__: set())
    return rlhf


@pytest.fixture
def audit(ran: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Audit]:
    yield audit_in(ran.root, monkeypatch, capsys)


def rows(numbers: range = range(1, 6), **other: str) -> list[dict[str, str]]:
    return [{"text": other.get(f"row{number}", f"row {number} says\nWhy? {'x' * 300}")} for number in numbers]


def edited(project: Project) -> None:
    project.write(RAW, rows(row3="forged"))


def deleted_row(project: Project) -> None:
    project.write(RAW, [*rows(range(1, 2)), *rows(range(3, 6))])


def another_file(project: Project) -> None:
    project.write(RAW, [{"prompt": f"a stranger {number}"} for number in range(9)])


def no_file(project: Project) -> None:
    (project.root / RAW).unlink()


def no_folder(project: Project) -> None:
    shutil.rmtree(project.root / "data")


def a_folder(project: Project) -> None:
    (project.root / RAW).unlink()
    project.write(f"{RAW}/inside.jsonl", rows(range(2, 6)))


def no_text(project: Project) -> None:
    (project.root / RAW).write_bytes(b"\x00\xff\xfe{" * 99)


def empty(project: Project) -> None:
    (project.root / RAW).write_bytes(b"")


ATTACKS = [edited, deleted_row, another_file, no_file, no_folder, a_folder, no_text, empty]


def test_an_untouched_run_verifies_and_shows_its_rows(audit: Audit) -> None:
    assert audit("--verify", DPO).code == 0
    assert RIGHT in audit("--record", PROMPT).said
    found = audit("--find", "row 3 says")
    assert found.code == 0 and f"{RAW} row 3 {PROMPT} used.train" in found.said and "not searched" not in found.said


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_gone_is_said_and_no_other_row_is_shown_in_its_place(
    ran: Project, audit: Audit, attack: Callable[[Project], None]
) -> None:
    attack(ran)
    verified = audit("--verify", DPO)
    lines = verified.out.splitlines()
    assert verified.code == 1 and any(line.startswith(f"{RAW}: ") for line in lines), verified
    assert all(line.startswith("data/raw") for line in lines), "one cause, and nothing that follows from it"
    record = audit("--record", PROMPT)
    assert record.code == 0 and f"{RAW} raw row 3: used.train" in record.said
    for wrong in ("row 4 says", "forged", "stranger", RIGHT):
        assert wrong not in record.said
    assert "its rows are not shown" in record.said and "dvc repro prepare_data" in record.said
    found = audit("--find", "says")
    assert f"{RAW} row" not in found.out and "not searched" in found.err
    assert f"{RAW}: " in found.err and "neither here, nor in git, nor in the DVC cache" in found.err


@pytest.mark.parametrize("attack", ATTACKS)
def test_rows_of_then_come_from_git_where_it_has_them(
    ran: Project, audit: Audit, attack: Callable[[Project], None]
) -> None:
    committed(ran)
    attack(ran)
    assert RIGHT in audit("--record", PROMPT).said
    found = audit("--find", "row 3 says")
    assert found.code == 0 and f"{RAW} row 3 {PROMPT}" in found.said
    assert audit("--verify", DPO).code == 1, "the working folder still is another one"


def test_rows_of_then_come_from_the_cache_after_dvc_add(ran: Project, audit: Audit) -> None:
    cached = ran.cached(content_hash(ran.root / RAW))
    cached.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ran.root / RAW, cached)
    edited(ran)
    assert RIGHT in audit("--record", PROMPT).said


def test_a_renamed_file_is_known_by_its_content(ran: Project, audit: Audit) -> None:
    (ran.root / RAW).rename(ran.root / "data/raw/renamed.jsonl")
    (line,) = audit("--verify", DPO).out.splitlines()
    assert line == f"{RAW}: missing; data/raw/renamed.jsonl has its content"
    assert RIGHT in audit("--record", PROMPT).said


def test_a_file_that_came_is_told_apart_from_one_that_changed(ran: Project, audit: Audit) -> None:
    ran.write("data/raw/new.jsonl", rows())
    (line,) = audit("--verify", DPO).out.splitlines()
    assert line.startswith("data/raw: files came or went") and RIGHT in audit("--record", PROMPT).said


def test_a_source_outside_of_what_dvc_watches_is_verified_too(ran: Project, audit: Audit) -> None:
    """Its change makes nothing run again, so that only its hash can tell."""
    note(ran, file="elsewhere/b.jsonl", rows=1, content=rows(range(3, 4)))
    assert audit("--verify", DPO).code == 0
    ran.write("elsewhere/b.jsonl", rows(range(4, 5)))
    (line,) = audit("--verify", DPO).out.splitlines()
    assert line.startswith("elsewhere/b.jsonl: another content")


def note(project: Project, *, file: str, content: Any, **more: Any) -> None:
    """prepare_data has read one more source."""
    project.write(file, content)
    report = json.loads((project.root / SOURCES).read_text())
    report["sources"].append({"file": file, "md5": content_hash(project.root / file), **more})
    prepare_again(project, report)


def prepare_again(project: Project, report: dict[str, Any]) -> None:
    project.write(SOURCES, json.dumps(report))
    project.stage(STAGE, ["data/raw"], ["artifacts/data", SOURCES], {"data": {"source": RAW}})
    project.lock()


def test_rows_that_are_counted_in_another_way_than_then_are_not_shown(ran: Project, audit: Audit) -> None:
    prepare_again(ran, {"sources": [{"file": RAW, "md5": content_hash(ran.root / RAW), "rows": 6}]})
    record = audit("--record", PROMPT)
    assert "has 5 rows as the code now reads it, and had 6" in record.said and "says" not in record.said


class TestOfARunThatNotedNoHashes:
    @pytest.fixture(autouse=True)
    def _old(self, ran: Project) -> None:
        prepare_again(ran, {"sources": [{"file": RAW, "rows": 5}]})

    def test_rows_are_shown_while_the_folder_is_what_it_was(self, audit: Audit) -> None:
        assert RIGHT in audit("--record", PROMPT).said

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_and_not_afterwards(self, ran: Project, audit: Audit, attack: Callable[[Project], None]) -> None:
        attack(ran)
        record = audit("--record", PROMPT)
        assert "data/raw has changed since prepare_data ran" in record.said and "says" not in record.said
        assert audit("--verify", DPO).code == 1

    def test_of_a_file_that_nothing_watches_they_are_not(self, ran: Project, audit: Audit) -> None:
        ran.write("elsewhere/b.jsonl", rows())
        prepare_again(ran, {"sources": [{"file": "elsewhere/b.jsonl", "rows": 5}]})
        found = audit("--find", "says")
        assert "nothing says what elsewhere/b.jsonl held" in found.said and found.out.startswith("0 hits")


def test_a_run_whose_report_is_gone_says_so(ran: Project, audit: Audit) -> None:
    ran.cached(content_hash(ran.root / SOURCES)).unlink()
    (ran.root / SOURCES).unlink()
    assert f"{SOURCES} is neither here nor in the DVC cache" in audit("--record", PROMPT).said


def test_sources_on_a_hub_are_named_and_not_asked(ran: Project, audit: Audit) -> None:
    prepare_again(ran, {"sources": [{"file": "hub:someone/rows", "md5": None, "rows": 5}]})
    assert "hub:someone/rows is a data set on a hub, and an audit sends no requests" in audit("--find", "says").said
    assert audit("--verify", DPO).code == 0


@pytest.mark.parametrize("source", ["package:absent_package/rows.jsonl", "package:dvc/absent.jsonl"])
def test_a_package_that_is_not_installed_is_a_missing_file(ran: Project, audit: Audit, source: str) -> None:
    name = source.removeprefix("package:")
    prepare_again(ran, {"sources": [{"file": name, "md5": "0" * 32, "rows": 5}]})
    ran.entries[STAGE]["params"]["params.yaml"]["data"]["source"] = source
    ran.lock()
    assert f"{name}: missing" in audit("--verify", DPO).said
    assert f"{name}: missing" in audit("--find", "says").said


class TestOfAPastCommit:
    """The working folder has moved on: other rows, other parameters, another run."""

    @pytest.fixture(autouse=True)
    def _moved(self, ran: Project) -> None:
        committed(ran)
        ran.write(RAW, [{"text": f"a later row {number}"} for number in range(9)])
        ran.write("params.yaml", "data:\n  source: elsewhere\n  new_key: 1\njudge:\n  kind: classifier\n")
        report = {"sources": [{"file": RAW, "md5": content_hash(ran.root / RAW), "rows": 9}]}
        ran.write("artifacts/data/fates.jsonl", [{"source": RAW, "row": 9, "id": PROMPT, "fate": "unused.sft"}])
        prepare_again(ran, report)
        git(ran.root, "commit", "-qam", "a later run")

    def test_a_record_is_what_it_was(self, audit: Audit) -> None:
        then, now = audit("--rev", "HEAD~1", "--record", PROMPT).said, audit("--record", PROMPT).said
        assert f"{RAW} raw row 3: used.train" in then and RIGHT in then and "later row" not in then
        assert f"{RAW} raw row 9: unused.sft" in now and "a later row 8" in now

    def test_a_text_is_looked_for_where_it_was(self, audit: Audit) -> None:
        then = audit("--rev", "HEAD~1", "--find", "row 3 says")
        assert then.code == 0 and f"{RAW} row 3 {PROMPT} used.train" in then.said
        assert audit("--rev", "HEAD~1", "--find", "a later row").out.startswith("0 hits")
        assert audit("--find", "row 3 says").out.startswith("0 hits")

    def test_the_tree_is_that_of_then(self, audit: Audit) -> None:
        then, now = (json.loads(audit(*of, "--json", "artifacts/data").out) for of in (["--rev", "HEAD~1"], []))
        assert then["md5"] != now["md5"] and then["stage"]["params"]["data.source"] == RAW

    def test_it_verifies_against_itself(self, ran: Project, audit: Audit) -> None:
        assert audit("--rev", "HEAD~1", "--verify", DPO).code == 0
        later = audit("--rev", "HEAD", "--verify", "artifacts/data")
        assert "params.yaml, data.source: 'elsewhere' now" in later.out
        # what git no longer has, as where raw files are not committed
        git(ran.root, "rm", "-q", "--cached", RAW)
        git(ran.root, "commit", "-q", "--amend", "-m", "without raw rows")
        ran.write(RAW, rows())
        assert f"{RAW}: the version of the run is neither here" in audit("--rev", "HEAD", "--verify", DPO).out

    @pytest.mark.parametrize("params", [None, "", "- 1\n", "a: [", "data:\n  source: 3\n", "\xff"])
    def test_rows_need_no_parameters_that_this_version_could_read(
        self, ran: Project, audit: Audit, params: str | None
    ) -> None:
        """A file of before some key was added, or after one was taken away, was refused with all that it lacks."""
        for of in ([], ["--rev", "HEAD~1"]):
            path = Path("params.yaml")
            path.unlink() if params is None and path.exists() else path.write_bytes((params or "").encode("latin-1"))
            assert ("a later row 8" if not of else RIGHT) in audit(*of, "--record", PROMPT).said
            tree = audit(*of, "artifacts/data")
            assert tree.code == 0 and "<- prepare_data" in tree.out and "MLflow: not asked, because" in tree.err


def test_an_unknown_revision_is_an_error_of_the_call(ran: Project, audit: Audit) -> None:
    committed(ran)
    for arguments in (["artifacts/data"], ["--verify", "artifacts/data"], ["--record", PROMPT], ["--find", "says"]):
        answer = audit("--rev", "nowhere", *arguments)
        assert answer.said.startswith("error: git has no dvc.lock at 'nowhere'")
