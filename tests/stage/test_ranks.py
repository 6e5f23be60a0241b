"""Of the processes that work on a stage the first writes and speaks; one that fails leaves its reason for torchrun."""

import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import group
from pipeline.errors import PipelineError
from pipeline.stage import ranks, run
from pipeline.stage.costs import CostMeter
from pipeline.stage.execution import Stage
from pipeline.torchrun import SHARED
from tests.conftest import ROOT


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
    went_on: list[Stage] = []
    met: list[object] = []

    def exchanged(mine: object) -> list[object]:
        met.append(mine)
        return [mine]

    monkeypatch.setattr(group, "_exchanged", exchanged)

    def work(stage: Stage) -> None:
        stage.log_step(1, {"loss": 1.0})  # nowhere
        stage.only_first_goes_on()
        went_on.append(stage)

    assert execute(monkeypatch, tmp_path, work) == 0
    assert went_on == [] and list(tmp_path.iterdir()) == []
    assert met == [None], "or the first removes the state while others still read it"


def test_what_it_writes_goes_with_the_state(second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder elsewhere stays when torchrun ends the process, and weights that are linked to it are copied."""
    monkeypatch.setattr(group, "join", lambda **_: None)
    monkeypatch.setattr(group, "_exchanged", lambda mine: [(str(tmp_path / "state"), ["training.pt"])])
    stage: Any = object.__new__(Stage)
    stage.root, stage.costs = tmp_path, CostMeter()
    stage.params = SimpleNamespace(runtime=SimpleNamespace(device="cpu"))
    stage.declaration = SimpleNamespace(outs=[Path("artifacts/sft")])
    stage._begin_together()
    assert stage.output("artifacts/sft").is_relative_to(tmp_path / "state") and stage.resume.found


@pytest.mark.parametrize("script", SHARED)
def test_others_leave_every_stage_that_is_shared_before_it_writes(script: str) -> None:
    """By the text of the script and of the steps that it takes from `pipeline/scripts`."""
    text = (ROOT / f"stages/{script}.py").read_text()
    steps = re.findall(r"from pipeline\.scripts\.(\w+) import", text)
    texts = [text, *((ROOT / f"pipeline/scripts/{step}.py").read_text() for step in steps)]
    assert any("stage.only_first_goes_on()" in one for one in texts)


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


def test_one_that_has_lost_the_others_says_so_only_if_nobody_ends_it(
    second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As all do where NCCL cannot start: each fails in its first exchange, and torchrun has nobody to end them for."""
    said_before: list[bool] = []
    monkeypatch.setattr(run, "wait_for_end", lambda: said_before.append(second.exists()))

    def work(stage: Stage) -> None:
        raise group.OthersEnded("NCCL error")

    assert execute(monkeypatch, tmp_path, work) == 1
    assert said_before == [False] and capsys.readouterr() == ("", "")
    assert json.loads(second.read_text())["message"]["message"] == "error in train_sft: NCCL error"


def test_a_reason_that_cannot_be_left_is_said(
    second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the disk of temporary files is full."""
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "none/reason"))

    def work(stage: Stage) -> None:
        raise PipelineError("the disk is full")

    assert execute(monkeypatch, tmp_path, work) == 1
    assert capsys.readouterr().err == "\nerror in train_sft: the disk is full\n"


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
