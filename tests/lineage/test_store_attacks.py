"""An MLflow store with runs that were deleted, copied or edited, or that is none: said, and never a traceback."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lineage.commands import Audit, audit_in
from tests.lineage.conftest import STORE, Project
from tests.lineage.stores import client, logged, tags

SFT = "artifacts/sft"
NONE = "run: none in MLflow says that it wrote this version"


@pytest.fixture
def ran(tracked: Project) -> Project:
    return tracked


@pytest.fixture
def audit(ran: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Audit]:
    yield audit_in(ran.root, monkeypatch, capsys)


def runs(audit: Audit) -> str:
    """What the tree says of the runs of SFT."""
    answer = audit(SFT)
    assert answer.code == 0 and "<- train_sft" in answer.out and "Traceback" not in answer.said
    return answer.said


def test_the_run_of_a_stage_is_shown_without_a_doubt(ran: Project, audit: Audit) -> None:
    identity, said = logged(ran), runs(audit)
    assert identity in said and f"{identity}," not in said and NONE in said, "of prepare_data there is no run"
    assert said.count("run: ") == 2


def test_without_a_run_it_is_said(audit: Audit) -> None:
    assert runs(audit).count(NONE) == 2


def test_a_deleted_run_is_shown_as_deleted(ran: Project, audit: Audit) -> None:
    identity = logged(ran)
    client(ran).delete_run(identity)
    assert f"{identity}, deleted in MLflow" in runs(audit)


def test_runs_of_a_deleted_experiment_are_found(ran: Project, audit: Audit) -> None:
    other = client(ran).create_experiment("other")
    identity = client(ran).create_run(other, tags=tags(ran)).info.run_id
    client(ran).delete_experiment(other)
    assert f"{identity}, deleted in MLflow" in runs(audit)


def test_a_copy_of_a_run_is_told(ran: Project, audit: Audit) -> None:
    identities, said = [logged(ran), logged(ran)], runs(audit)
    for identity in identities:
        assert f"{identity}, one of 2 runs that say they are the same execution" in said


def test_a_run_that_was_made_by_hand_is_told(ran: Project, audit: Audit) -> None:
    forged = {key: value for key, value in tags(ran).items() if key.startswith(("stage", "dvc.out/"))}
    client(ran).create_run("0", tags=forged)
    assert "not logged by a stage" in runs(audit)
    assert "says it read another artifacts/data/texts/train.jsonl than dvc.lock has" in runs(audit)


@pytest.mark.parametrize("tag", ["stage", f"dvc.out/{SFT}"])
def test_a_run_whose_tags_were_edited_is_not_the_run(ran: Project, audit: Audit, tag: str) -> None:
    identity = logged(ran)
    client(ran).set_tag(identity, tag, "forged")
    assert identity not in runs(audit) and runs(audit).count(NONE) == 2


def test_an_edited_input_is_told(ran: Project, audit: Audit) -> None:
    client(ran).set_tag(logged(ran), "dvc.dep/artifacts/data/texts/train.jsonl", "0" * 32)
    assert "says it read another artifacts/data/texts/train.jsonl than dvc.lock has" in runs(audit)
    client(ran).set_tag(logged(ran), "dvc.code", "0" * 32 + ".dir")
    assert "says it ran other code than dvc.lock has" in runs(audit)


def test_a_run_that_mlflow_itself_refuses_is_said(ran: Project, audit: Audit) -> None:
    logged(ran)
    with sqlite3.connect(ran.root / STORE) as store:
        store.execute("UPDATE runs SET start_time = NULL")
    assert "cannot be read (start_time cannot be None)" in runs(audit)


def text(store: Path) -> None:
    store.write_bytes(b"no database" * 1000)


def nothing(store: Path) -> None:
    store.unlink()


def half(store: Path) -> None:
    store.write_bytes(store.read_bytes()[: store.stat().st_size // 2])


def a_folder(store: Path) -> None:
    store.unlink()
    store.mkdir()


def no_tables(store: Path) -> None:
    store.unlink()
    with sqlite3.connect(store) as other:
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
        other.execute("INSERT INTO alembic_version VALUES ('of another program')")


@pytest.mark.parametrize("damage", [text, nothing, half, a_folder, no_tables])
def test_a_store_that_is_none_costs_only_what_was_in_it(
    ran: Project, audit: Audit, damage: Callable[[Path], None]
) -> None:
    damage(ran.root / STORE)  # before this process has opened it, which MLflow would keep open
    said = runs(audit)
    assert "run ids, commits and environments are unknown" in said and "run: " not in said
    assert audit("--verify", "artifacts/data").code in (0, 1), "which says so, and goes on"


def test_a_clone_with_a_store_and_nothing_else_of_the_runs_is_asked(ran: Project, audit: Audit) -> None:
    identity = logged(ran)
    shutil.rmtree(ran.root / ".state", ignore_errors=True)
    assert identity in runs(audit)
