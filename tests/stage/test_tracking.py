"""One MLflow run per execution; a server that is down costs a warning."""

import time
from pathlib import Path
from typing import Any

import mlflow
import pytest

from pipeline.errors import PipelineError
from pipeline.params.schema import Tracking
from pipeline.stage.tracking import RunTracker

UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the whole module: creating it is most of the time."""
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")


def tracking(**changes: Any) -> Tracking:
    return Tracking(**{"experiment": "tests", "uri": "sqlite:///mlflow.db", "required": False} | changes)


def only_run(root: Path, name: str) -> Any:
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"tags.stage = '{name}'")
    return run


def history(root: Path, run: Any, key: str) -> list[tuple[int, float]]:
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]


def test_a_run_that_succeeds_has_everything(root: Path) -> None:
    tracker = RunTracker(tracking(), root)
    params = {f"section.key{i}": i for i in range(150)} | {"long": "x" * 900, "optimize.dpo.beta": 0.1}
    tracker.start("train_sft", params=params, tags={"stage": "train_sft", "dvc.dep/a": "abc"})
    for step in range(1, 1201):  # more than one batch
        tracker.log({"loss": 1 / step}, step=step)
    tracker.log({"final.accuracy": 0.75})
    tracker.tag({"dvc.out/artifacts/sft": "d41d8cd98f00b204e9800998ecf8427e.dir"})
    tracker.finish(succeeded=True)
    run = only_run(root, "train_sft")
    assert (run.info.status, run.info.run_name) == ("FINISHED", "train_sft")
    assert len(run.data.params) == 152
    assert run.data.params["optimize.dpo.beta"] == "0.1"
    assert run.data.params["long"] == "x" * 500
    assert run.data.metrics["final.accuracy"] == 0.75
    assert run.data.tags["dvc.dep/a"] == "abc"
    assert run.data.tags["dvc.out/artifacts/sft"].endswith(".dir")
    points = history(root, run, "loss")
    assert [step for step, _ in points] == list(range(1, 1201))
    assert points[3] == (4, 0.25)


def test_a_run_that_fails_says_so_and_keeps_its_metrics(root: Path) -> None:
    tracker = RunTracker(tracking(), root)
    tracker.start("train_reward", params={}, tags={"stage": "train_reward"})
    tracker.log({"loss": 0.5}, step=1)
    tracker.finish(succeeded=False)
    run = only_run(root, "train_reward")
    assert run.info.status == "FAILED"
    assert history(root, run, "loss") == [(1, 0.5)]


def test_a_relative_store_lies_in_the_root_wherever_the_process_is(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = RunTracker(tracking(), root)
    tracker.start("fit_judge", params={}, tags={"stage": "fit_judge"})
    tracker.finish(succeeded=True)
    assert only_run(root, "fit_judge").info.status == "FINISHED"
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_another_server(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", UNREACHABLE)
    RunTracker(tracking(), tmp_path).start("train_sft", params={}, tags={})
    assert UNREACHABLE in capsys.readouterr().err
    assert not (tmp_path / "mlflow.db").exists()


def test_a_server_that_is_down_costs_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = RunTracker(tracking(uri=UNREACHABLE), tmp_path)
    start = time.monotonic()
    tracker.start("train_sft", params={"a": 1}, tags={"stage": "train_sft"})
    for step in range(2000):
        tracker.log({"loss": 1.0}, step=step)
    tracker.tag({"x": "y"})
    tracker.finish(succeeded=True)
    assert time.monotonic() - start < 30
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: MLflow")]
    assert len(warnings) == 1 and UNREACHABLE in warnings[0]


def test_a_server_that_is_required_stops_the_stage(tmp_path: Path) -> None:
    tracker = RunTracker(tracking(uri=UNREACHABLE, required=True), tmp_path)
    with pytest.raises(PipelineError, match=r"tracking\.required is true"):
        tracker.start("train_sft", params={}, tags={})


class BrokenClient:
    """A server that goes away in the middle of a run."""

    def __getattr__(self, name: str) -> Any:
        raise ConnectionError("gone")


def test_a_server_that_goes_away_costs_one_warning(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = RunTracker(tracking(), root)
    tracker.start("evaluate_sft", params={}, tags={"stage": "evaluate_sft"})
    tracker._client = BrokenClient()
    for step in range(1500):
        tracker.log({"loss": 1.0}, step=step)
    tracker.finish(succeeded=True)
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: MLflow")]
    assert len(warnings) == 1 and "gone" in warnings[0]


def test_metrics_that_are_not_finite_cost_no_other_metric(root: Path) -> None:
    tracker = RunTracker(tracking(), root)
    tracker.start("score_reference", params={}, tags={"stage": "score_reference"})
    tracker.log({"loss": float("nan"), "margin": float("inf"), "accuracy": 0.5}, step=1)
    tracker.finish(succeeded=True)
    run = only_run(root, "score_reference")
    assert run.info.status == "FINISHED"
    assert history(root, run, "accuracy") == [(1, 0.5)]
