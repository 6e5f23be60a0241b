"""One MLflow run per execution; a store that is slow or down costs a warning, not the stage."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.tracking import tracker as tracking_module
from pipeline.tracking.journal import Journal, new_journal_path
from pipeline.tracking.mirror_process import VARIABLE, start_mirror
from pipeline.tracking.tracker import RunTracker
from tests.tracking.conftest import UNREACHABLE, history, journals, only_run, sync, tracking, wait_until

StageStarter = Callable[..., subprocess.Popen[str]]


def warnings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("warning: ")]


def read_or_empty(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_run_that_succeeds_has_everything(root: Path) -> None:
    tracker = RunTracker(tracking(), root)
    before = int(time.time() * 1000)
    params = {f"section.key{i}": i for i in range(150)} | {"long": "x" * 900, "optimize.dpo.beta": 0.1}
    tracker.start("train_sft", params=params, tags={"stage": "train_sft", "dvc.dep/a": "abc"})
    started = int(time.time() * 1000)
    for step in range(1, 1201):  # more than one batch
        tracker.log({"loss": 1 / step}, step=step)
    tracker.log({"final.accuracy": 0.75})
    tracker.tag({"dvc.out/artifacts/sft": "d41d8cd98f00b204e9800998ecf8427e.dir"})
    ended = int(time.time() * 1000)
    tracker.finish(succeeded=True)
    run = only_run(root, "train_sft")
    assert (run.info.status, run.info.run_name) == ("FINISHED", "train_sft")
    # the times of the stage, although the mirror takes seconds to start
    assert before <= run.info.start_time <= started
    assert run.info.start_time <= run.info.end_time <= ended + 500
    assert len(run.data.params) == 152
    assert run.data.params["optimize.dpo.beta"] == "0.1"
    assert run.data.params["long"] == "x" * 500
    assert run.data.metrics["final.accuracy"] == 0.75
    assert run.data.tags["dvc.dep/a"] == "abc"
    assert run.data.tags["dvc.out/artifacts/sft"].endswith(".dir")
    points = history(root, run, "loss")
    assert [step for step, _ in points] == list(range(1, 1201))
    assert points[3] == (4, 0.25)
    assert list((root / ".state/tracking").iterdir()) == []


def test_a_run_that_fails_says_so_and_keeps_its_metrics(root: Path) -> None:
    tracker = RunTracker(tracking(), root)
    tracker.start("train_reward", params={}, tags={"stage": "train_reward"})
    tracker.log({"loss": 0.5}, step=1)
    tracker.finish(succeeded=False)
    run = only_run(root, "train_reward")
    assert run.info.status == "FAILED"
    assert history(root, run, "loss") == [(1, 0.5)]


def test_metrics_that_are_not_finite_are_kept_as_such(root: Path) -> None:
    tracker = RunTracker(tracking(), root)
    tracker.start("score_reference", params={}, tags={"stage": "score_reference"})
    tracker.log({"loss": float("nan"), "margin": float("inf"), "gap": float("-inf"), "accuracy": 0.5}, step=1)
    tracker.finish(succeeded=True)
    run = only_run(root, "score_reference")
    ((_, loss),) = history(root, run, "loss")
    assert math.isnan(loss)
    # SQL has no infinity: MLflow stores the largest number
    assert history(root, run, "margin") == [(1, sys.float_info.max)]
    assert history(root, run, "gap") == [(1, -sys.float_info.max)]
    assert history(root, run, "accuracy") == [(1, 0.5)]


def test_a_relative_store_lies_in_the_root_wherever_the_process_is(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = RunTracker(tracking(), root)
    tracker.start("fit_judge", params={}, tags={"stage": "fit_judge"})
    tracker.finish(succeeded=True)
    assert only_run(root, "fit_judge").info.status == "FINISHED"
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_another_store(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
    tracker = RunTracker(tracking(uri=UNREACHABLE), tmp_path)
    tracker.start("prepare_data", params={}, tags={"stage": "prepare_data"})
    tracker.finish(succeeded=True)
    assert only_run(root, "prepare_data").info.status == "FINISHED"


@pytest.mark.slow(beside="test_a_server_that_stays_down_is_an_error_of_sync")
def test_a_server_that_is_down_costs_one_warning_and_no_metric(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = RunTracker(tracking(uri=UNREACHABLE.replace("//", "//bob:sekret@")), tmp_path)
    start = time.monotonic()
    tracker.start("evaluate_sft", params={"a": 1}, tags={"stage": "evaluate_sft"})
    for step in range(2000):
        tracker.log({"loss": 1 / (step + 1)}, step=step)
    assert time.monotonic() - start < 2, "the stage waits for the server"
    tracker.finish(succeeded=True)
    assert time.monotonic() - start < 30
    (warning,) = warnings(capsys.readouterr().err)
    (journal,) = journals(tmp_path)
    for word in ("127.0.0.1:9", "make sync", journal.relative_to(tmp_path).as_posix()):
        assert word in warning
    kept = "".join(path.read_text() for path in journal.parent.iterdir())
    assert "sekret" not in warning + kept and "bob" not in warning + kept

    copy = journal.read_bytes()
    result = sync(tmp_path, f"sqlite:///{root / 'mlflow.db'}")
    assert result.returncode == 0, result.stderr
    assert "1 of 1 runs uploaded" in result.stdout
    run = only_run(root, "evaluate_sft")
    assert (run.info.status, run.data.params) == ("FINISHED", {"a": "1"})
    assert run.info.start_time == int(journal.name.partition("-")[0])
    assert [step for step, _ in history(root, run, "loss")] == list(range(2000))
    assert "no run is left" in sync(tmp_path, f"sqlite:///{root / 'mlflow.db'}").stdout

    # as if the machine had lost power before the journal was removed
    journal.write_bytes(copy)
    assert sync(tmp_path, f"sqlite:///{root / 'mlflow.db'}").returncode == 0
    assert len(history(root, only_run(root, "evaluate_sft"), "loss")) == 2000


def test_a_server_that_stays_down_is_an_error_of_sync(tmp_path: Path) -> None:
    Journal(new_journal_path(tmp_path, "train_sft"), name="train_sft", experiment="tests", params={}, tags={}).close()
    result = sync(tmp_path, UNREACHABLE.replace("//", "//bob:sekret@"))
    assert result.returncode == 1
    assert "127.0.0.1:9" in result.stderr and "cannot be reached" in result.stderr
    assert "sekret" not in result.stdout + result.stderr
    assert len(journals(tmp_path)) == 1


def test_a_slow_server_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking_module, "_PATIENCE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        tracker = RunTracker(tracking(uri=f"http://127.0.0.1:{silent.getsockname()[1]}"), tmp_path)
        tracker.start("train_sft", params={}, tags={})
        start = time.monotonic()
        tracker.finish(succeeded=True)
        assert time.monotonic() - start < 1.0
    (warning,) = warnings(capsys.readouterr().err)
    assert "has not taken the whole run" in warning and "make sync" in warning


def test_a_long_stage_warns_of_a_server_that_is_down_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking_module, "_CHECK_SECONDS", 0.0)
    tracker = RunTracker(tracking(uri=UNREACHABLE), tmp_path)
    tracker.start("train_sft", params={}, tags={})
    wait_until(lambda: list((tmp_path / ".state/tracking").glob("*.progress")))
    for step in range(3):
        tracker.log({"loss": 1.0}, step=step)
    assert len(warnings(capsys.readouterr().err)) == 1
    tracker.finish(succeeded=True)
    assert warnings(capsys.readouterr().err) == []


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".state").write_text("not a folder")
    tracker = RunTracker(tracking(), tmp_path)
    tracker.start("train_sft", params={}, tags={})
    tracker.log({"loss": 1.0}, step=1)
    tracker.finish(succeeded=True)
    (warning,) = warnings(capsys.readouterr().err)
    assert "cannot be tracked" in warning


def test_a_server_that_is_required_stops_the_stage_at_its_start(tmp_path: Path) -> None:
    tracker = RunTracker(tracking(uri=UNREACHABLE, required=True), tmp_path)
    with pytest.raises(PipelineError, match=r"127\.0\.0\.1:9 failed: .*tracking\.required is true"):
        tracker.start("train_sft", params={}, tags={})
    tracker.finish(succeeded=False)  # what the frame of a stage does then


def test_a_required_store_has_the_run_when_the_work_begins_and_all_of_it_at_the_end(root: Path) -> None:
    tracker = RunTracker(tracking(required=True), root)
    tracker.start("fetch_models", params={}, tags={"stage": "fetch_models"})
    assert only_run(root, "fetch_models").info.status == "RUNNING"
    tracker.log({"loss": 1.0}, step=1)
    tracker.finish(succeeded=True)
    assert only_run(root, "fetch_models").info.status == "FINISHED"


@pytest.mark.slow(beside="test_a_required_store_has_the_run_when_the_work_begins_and_all_of_it_at_the_end")
def test_a_required_store_that_lacks_the_end_stops_the_stage_and_the_run_is_a_failed_one(root: Path) -> None:
    tracker = RunTracker(tracking(required=True), root)
    tracker.start("write_report", params={}, tags={"stage": "write_report"})
    assert tracker._mirror is not None
    tracker._mirror.kill()
    with pytest.raises(PipelineError, match=r"was ended.*tracking\.required is true"):
        tracker.finish(succeeded=True)
    assert sync(root).returncode == 0
    assert only_run(root, "write_report").info.status == "FAILED"


@pytest.mark.parametrize(
    ("sent", "status"), [(signal.SIGKILL, "KILLED"), (signal.SIGINT, "FAILED")], ids=["killed", "interrupted"]
)
def test_a_stage_that_is_killed_leaves_no_running_run(
    root: Path, start_stage: StageStarter, sent: signal.Signals, status: str
) -> None:
    name = f"train_sft@{status}"
    process = start_stage(root, name, waits=True)
    os.killpg(process.pid, sent)  # as Ctrl-C does: to every process of the terminal
    process.wait()
    wait_until(lambda: not journals(root))
    run = only_run(root, name)
    assert run.info.status == status
    assert len(history(root, run, "loss")) == 20


@pytest.mark.slow(beside="test_a_stage_that_is_killed_leaves_no_running_run")
def test_a_mirror_that_is_killed_too_is_made_up_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = RunTracker(tracking(), root)
    tracker.start("optimize_policy@dpo", params={"a": 1}, tags={"stage": "optimize_policy@dpo"})
    tracker.log({"loss": 1.0, "margin": float("nan")}, step=1)
    (journal,) = journals(root)
    wait_until(lambda: '"lines": 2' in read_or_empty(journal.with_suffix(".progress")))
    assert tracker._mirror is not None
    tracker._mirror.kill()
    tracker.log({"loss": 0.5, "margin": float("nan")}, step=2)
    waiting = sync(root)
    assert "still runs" in waiting.stdout and "0 of 1" in waiting.stdout
    tracker.finish(succeeded=True)
    assert len(warnings(capsys.readouterr().err)) == 1
    assert only_run(root, "optimize_policy@dpo").info.status == "RUNNING"
    assert "1 of 1 runs uploaded" in sync(root).stdout
    run = only_run(root, "optimize_policy@dpo")
    assert run.info.status == "FINISHED"
    assert history(root, run, "loss") == [(1, 1.0), (2, 0.5)]
    assert len(history(root, run, "margin")) == 2


@pytest.mark.slow(beside="test_a_run_that_succeeds_has_everything")
def test_stages_that_start_together_in_a_new_project_lose_nothing(tmp_path: Path, start_stage: StageStarter) -> None:
    names = ["optimize_policy@dpo", "optimize_policy@ppo", "evaluate_sft"]
    processes = [start_stage(tmp_path, name) for name in names]
    assert [process.wait() for process in processes] == [0, 0, 0]
    # creating the store three times in a row can take longer than a stage waits
    wait_until(lambda: not journals(tmp_path))
    for name in names:
        run = only_run(tmp_path, name)
        assert run.info.status == "FINISHED"
        assert len(history(tmp_path, run, "loss")) == 20


@pytest.mark.slow(beside="test_a_launched_stage_finds_its_mirror_and_leaves_nothing_when_it_stops_before_its_run")
def test_a_mirror_that_the_launch_started_is_the_one_that_follows(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = new_journal_path(root, "evaluate_reward")
    mirror = start_mirror(path, root, {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}"})
    monkeypatch.setenv(VARIABLE, mirror.variable()[VARIABLE])
    tracker = RunTracker(tracking(uri=UNREACHABLE), root)
    tracker.start("evaluate_reward", params={}, tags={"stage": "evaluate_reward"})
    assert journals(root) == [path]
    assert VARIABLE not in os.environ, "a process that the stage starts would take the mirror for its own"
    tracker.finish(succeeded=True)
    run = only_run(root, "evaluate_reward")
    assert (run.info.status, run.data.tags["journal"]) == ("FINISHED", path.stem)
    wait_until(mirror.ended)


def test_a_launched_stage_finds_its_mirror_and_leaves_nothing_when_it_stops_before_its_run(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").touch()
    script = "import os, sys\nprint(os.environ['PIPELINE_MIRROR'])\nsys.exit(3)\n"
    (tmp_path / "stages/train_sft.py").write_text(script)
    command = [sys.executable, "-m", "pipeline.launch", "train_sft"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 3, result.stderr
    _, journal = result.stdout.split()
    assert Path(journal).parent == tmp_path / ".state/tracking"
    assert [path.name for path in tmp_path.iterdir()] == ["stages"]
