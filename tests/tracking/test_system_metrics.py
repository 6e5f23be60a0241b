"""System metrics: on request, beside the stage, and like everything else not lost with a server that is down."""

import time
from pathlib import Path

import pytest

from pipeline.tracking.system_metrics import ENABLE, INTERVAL
from pipeline.tracking.tracker import RunTracker
from tests.tracking.conftest import UNREACHABLE, history, journals, only_run, sync, tracking, wait_until

CPU = "system/cpu_utilization_percentage"


def track(root: Path, name: str, uri: str | None = None) -> RunTracker:
    tracker = RunTracker(tracking(**({"uri": uri} if uri else {})), root)
    tracker.start(name, params={}, tags={"stage": name})
    return tracker


def test_samples_are_metrics_of_the_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENABLE, "true")
    monkeypatch.setenv(INTERVAL, "0.2")
    tracker = track(root, "machine")
    (journal,) = journals(root)
    wait_until(lambda: journal.read_text().count(CPU) >= 3)
    tracker.log({"loss": 0.5}, step=1)
    tracker.finish(succeeded=True)
    run = only_run(root, "machine")
    points = history(root, run, CPU)
    assert [step for step, _ in points][:3] == [0, 1, 2] and all(0 <= value <= 100 for _, value in points)
    names = {name for name in run.data.metrics if name.startswith("system/")}
    assert {"system/system_memory_usage_megabytes", "system/disk_usage_percentage"} <= names
    assert run.data.metrics["loss"] == 0.5


@pytest.mark.slow(beside="test_samples_are_metrics_of_the_run")
def test_nothing_is_lost_while_the_server_is_down(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENABLE, "yes")
    monkeypatch.setenv(INTERVAL, "0.2")
    tracker = track(tmp_path, "machine_unreached", UNREACHABLE)
    (journal,) = journals(tmp_path)
    wait_until(lambda: journal.read_text().count(CPU) >= 3)
    tracker.finish(succeeded=True)
    noted = journal.read_text().count(CPU)
    assert sync(tmp_path, f"sqlite:///{root / 'mlflow.db'}").returncode == 0
    assert len(history(root, only_run(root, "machine_unreached"), CPU)) == noted >= 3


def test_without_a_request_there_are_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENABLE, raising=False)
    monkeypatch.setenv(INTERVAL, "0.01")
    tracker = track(root, "machine_unasked")
    tracker.log({"loss": 0.5}, step=1)
    time.sleep(0.5)
    tracker.finish(succeeded=True)
    assert set(only_run(root, "machine_unasked").data.metrics) == {"loss"}


def test_an_interval_that_is_no_number_is_the_default(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENABLE, "true")
    monkeypatch.setenv(INTERVAL, "10s")
    tracker = track(root, "machine_default")
    (journal,) = journals(root)
    wait_until(lambda: CPU in journal.read_text())
    tracker.finish(succeeded=True)
    assert CPU in only_run(root, "machine_default").data.metrics
