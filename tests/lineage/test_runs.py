"""Runs of MLflow that say they wrote an artifact, and what of them does not agree with dvc.lock."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.lineage import runs as runs_module
from pipeline.lineage.runs import LoggedRun, Run, Runs, store_uri
from pipeline.project.lockfile import Artifact, StageRecord
from tests.lineage.by_hand import run_of, stage, with_params

SFT = stage("train_sft", ["texts"], ["artifacts/sft"], code=["stages/train_sft.py"], params={"epochs": 1, "lr": 5e-06})
OUT = SFT.outputs[0]


def as_mlflow(run: LoggedRun) -> Any:
    stages = {"lifecycle_stage": "deleted" if run.deleted else "active", "status": "FINISHED"}
    info = SimpleNamespace(run_id=run.run_id, start_time=1_700_000_000_000, **stages)
    return SimpleNamespace(info=info, data=SimpleNamespace(tags=run.tags, params=run.params, metrics=run.metrics))


class Page(list[Any]):
    token: str | None = None


class Store:
    """A client whose answers are given by what a query must contain; it hands out one run a page."""

    def __init__(self, answers: dict[str, list[LoggedRun]]) -> None:
        self.answers = answers
        self.queries: list[str] = []
        self.broken: str | None = None

    def search_experiments(self, view_type: int) -> list[Any]:
        return [SimpleNamespace(experiment_id="7")]

    def search_runs(self, experiments: list[str], query: str, *, page_token: str | None, **_: Any) -> Page:
        assert experiments == ["7"]
        if self.broken is not None:
            raise OSError(self.broken)
        self.queries.append(query)
        runs = next((runs for part, runs in self.answers.items() if part in query), [])
        at = int(page_token or 0)
        page = Page([as_mlflow(run) for run in runs[at : at + 1]])
        page.token = str(at + 1) if at + 1 < len(runs) else None
        return page


def runs_in(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch, uri: str = "https://server") -> Runs:
    monkeypatch.setattr(runs_module, "connect", lambda *_: SimpleNamespace(client=store))
    return Runs(uri, root)


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answers to the runs of SFT's output."""

    def find(*runs: LoggedRun, record: StageRecord = SFT) -> list[Run]:
        answer = runs_in(Store({"": list(runs)}), tmp_path, monkeypatch).of(record, record.outputs[0])
        assert answer is not None
        return answer

    return find


def test_a_run_that_agrees_with_the_lock_has_no_doubt(found: Any) -> None:
    (run,) = found(run_of(SFT, device="cpu", **{"git.commit": "c" * 40, "git.dirty": "true", "version.torch": "2.0"}))
    assert run.doubts == [] and run.dirty is True and run.versions == {"torch": "2.0"}
    assert run.describe() == f"2023-11-14 22:13:20, FINISHED, code {'c' * 10} + changes, cpu, torch 2.0, run"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (run_of(SFT, journal=None), "not logged by a stage"),
        (run_of(SFT, **{"dvc.dep/texts": "other"}), "another texts than dvc.lock"),
        (run_of(SFT, **{"dvc.dep/texts": None}), "another texts than dvc.lock"),
        (run_of(SFT, **{"dvc.code": "other"}), "other code"),
        (with_params(run_of(SFT), epochs="2"), "another epochs than dvc.lock"),
        (LoggedRun("run", True, run_of(SFT).tags, run_of(SFT).params, {}), "deleted in MLflow"),
    ],
)
def test_what_does_not_agree_is_the_one_doubt(found: Any, run: LoggedRun, words: str) -> None:
    (shown,) = found(run)
    (doubt,) = shown.doubts
    assert words in doubt and doubt in shown.describe()


def test_many_differing_parameters_are_counted(found: Any) -> None:
    record = stage("train_sft", (), ["artifacts/sft"], params={f"p{number}": number for number in range(5)})
    ((run),) = found(LoggedRun("run", False, run_of(record).tags, {}, {}), record=record)
    assert run.doubts == ["says it had another p0, p1, p2 and 2 more than dvc.lock has"]


def test_runs_under_one_name_are_copies_and_all_pages_are_read(found: Any) -> None:
    copies = [run_of(SFT, one, journal="same") for one in ("a", "b")]
    shown = found(*copies, run_of(SFT, "c"))
    assert [run.run_id for run in shown] == ["a", "b", "c"]
    doubts = [len(run.doubts) for run in shown]
    assert doubts == [1, 1, 0] and "one of 2 runs" in shown[0].doubts[0]


def test_the_question_names_the_stage_the_path_and_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store({})
    assert runs_in(store, tmp_path, monkeypatch).of(SFT, OUT) == []
    (query,) = store.queries
    assert all(part in query for part in ("'train_sft'", "dvc.out/artifacts/sft", OUT.md5))


def test_a_version_is_of_the_runs_that_wrote_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = stage("fit_judge", (), ["artifacts/judge", "reports/judge.json"])
    store = Store({"dvc.out/": [run_of(both, "wrote")], "dvc.code": [run_of(both, "same code")]})
    assert [run.run_id for run in runs_in(store, tmp_path, monkeypatch).of_version(both)] == ["wrote"]
    assert all(out.md5 in store.queries[0] for out in both.outputs)


def test_else_of_those_that_ran_its_code_and_wrote_the_same_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same, other = (
        run_of(SFT, "same", **{f"dvc.out/{OUT.path}": "x"}),
        run_of(SFT, "other", **{f"dvc.out/{OUT.path}": None}),
    )
    runs = runs_in(Store({"dvc.code": [other, same]}), tmp_path, monkeypatch)
    assert [run.run_id for run in runs.of_version(SFT)] == ["same"]
    assert runs.of_version(stage("check")) == [], "a stage without outputs has no version"


def test_a_store_that_breaks_in_the_middle_is_said_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ask, nothing in ((lambda runs: runs.of(SFT, OUT), None), (lambda runs: runs.of_version(SFT), [])):
        store = Store({"": [run_of(SFT)]})
        runs = runs_in(store, tmp_path, monkeypatch, "postgresql://me:secret@host/db")
        assert runs.missing is None
        store.broken = "connection to postgresql://me:secret@host/db lost\nTraceback"
        assert ask(runs) == nothing
        assert runs.missing is not None and "lost" in runs.missing
        assert "secret" not in runs.missing and "Traceback" not in runs.missing
        store.broken = None
        assert ask(runs) == nothing, "it is not asked again"


def test_a_store_that_is_not_there_finds_nothing_and_makes_none(tmp_path: Path) -> None:
    runs = Runs(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    assert runs.missing is not None and "is not here" in runs.missing
    assert runs.of(SFT, OUT) is None and runs.of_version(SFT) == []
    assert list(tmp_path.iterdir()) == []


def test_the_store_is_that_of_the_environment_else_that_of_the_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert store_uri(None, tmp_path) is None and store_uri("", tmp_path) is None and store_uri(3, tmp_path) is None
    assert store_uri("sqlite:///a.db", tmp_path) == f"sqlite:///{tmp_path}/a.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://server")
    assert store_uri("sqlite:///a.db", tmp_path) == "https://server"


def test_a_run_tells_what_it_read_and_wrote_by_path() -> None:
    run = run_of(SFT)
    assert run.read(Artifact("texts", "")) == "hash of texts" and run.wrote(OUT) == OUT.md5
    assert run.read(OUT) is None and not run.is_policy and run_of(SFT, policy="dpo").is_policy
