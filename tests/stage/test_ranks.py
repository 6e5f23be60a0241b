"""Of the processes that work on a stage the first writes and speaks; one that fails leaves its reason for torchrun."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import group
from pipeline.errors import PipelineError
from pipeline.stage import ranks, run
from pipeline.stage.execution import Stage


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This is the second of two processes; the file is where torchrun wants its reason."""
    values = {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "1"}
    for name, value in {**values, "TORCHELASTIC_ERROR_FILE": str(tmp_path / "reason")}.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "reason"


def execute(monkeypatch: pytest.MonkeyPatch, root: Path, work: Any) -> int:
    """A stage without inputs, outputs or parameters, whose script does `work`."""
    monkeypatch.chdir(root)
    params = SimpleNamespace(tracking=SimpleNamespace(required=False, experiment="one", uri="sqlite:///none.db"))
    monkeypatch.setattr(run, "load_params", lambda path: params)
    monkeypatch.setattr(run, "stage_declaration", lambda name, root: SimpleNamespace(data_deps=[], outs=[]))
    monkeypatch.setattr(Stage, "_begin_together", lambda self: None)
    monkeypatch.setattr(Stage, "_open", lambda self: None)
    monkeypatch.setattr(ranks, "_END_SECONDS", 0.0)
    return run._execute(work, {}, stage="train_sft", fixed={}, show_traceback=False)


def test_it_takes_no_lock_and_leaves_when_the_first_goes_on_alone(
    second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on = []

    def work(stage: Stage) -> None:
        stage.log_step(1, {"loss": 1.0})  # nowhere
        stage.only_first_goes_on()
        went_on.append(stage)

    assert execute(monkeypatch, tmp_path, work) == 0
    assert went_on == [] and list(tmp_path.iterdir()) == []


def test_one_process_goes_on(tmp_path: Path) -> None:
    Stage.only_first_goes_on(object.__new__(Stage))


def test_its_failure_is_left_for_torchrun_and_not_said(
    second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(stage: Stage) -> None:
        raise PipelineError("the loss is nan")

    assert execute(monkeypatch, tmp_path, work) == 1
    assert json.loads(second.read_text())["message"]["message"] == "error in train_sft: the loss is nan"
    assert capsys.readouterr() == ("", "")


def test_one_that_has_lost_the_others_says_nothing(
    second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(stage: Stage) -> None:
        raise group.OthersEnded("gone")

    assert execute(monkeypatch, tmp_path, work) == 1
    assert not second.exists() and capsys.readouterr() == ("", "")


def test_a_process_alone_says_it_itself() -> None:
    assert not ranks.leave_reason("error in train_sft: the loss is nan")


def test_a_process_whose_torchrun_has_gone_ends(second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks.ctypes, "CDLL", lambda name: SimpleNamespace(prctl=lambda *_: 0))
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setenv(ranks.PARENT, str(os.getppid()))
    ranks.join_in()
    assert sys.stdout.name == os.devnull
    monkeypatch.setenv(ranks.PARENT, "1")

    def ended(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(ranks.os, "_exit", ended)
    with pytest.raises(SystemExit):
        ranks.join_in()
