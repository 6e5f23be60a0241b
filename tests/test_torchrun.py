"""What a stage is started as, by `launch` in params.yaml; and what is said when one of its processes fails."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import torchrun
from pipeline.errors import PipelineError
from pipeline.torchrun import COMPUTE, SHARED, command_of, failure_text, replace_process
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    return tmp_path


def command(project: Path, stage: str = "train_dpo", **launch: Any) -> list[str] | None:
    path, section = project / "params.yaml", {"processes": 1, "nodes": 1, "command": []} | launch
    text = path.read_text().partition("\nlaunch:")[0]
    path.write_text(f"{text}\nlaunch:\n" + "".join(f"  {key}: {json.dumps(value)}\n" for key, value in section.items()))
    return command_of(stage, ["0"], project, {"MASTER_ADDR": "one", "SLURM_JOB_ID": "7"})


def test_one_process_is_started_as_ever_and_its_params_are_not_read(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("reading all of params.yaml takes a tenth of a second")

    monkeypatch.setattr("pipeline.params.loading.load_params", read)
    assert command(project) is None
    assert command(project, processes=2, stage="prepare_data") is None
    (project / "params.yaml").unlink()
    assert command_of("train_dpo", ["0"], project, {}) is None, "the stage says what is wrong"


def test_nothing_that_takes_long_is_imported_for_it() -> None:
    heavy = "{'torch', 'accelerate', 'pydantic', 'ruamel'} & {name.partition('.')[0] for name in sys.modules}"
    code = f"import os, sys; from pathlib import Path; from pipeline import group, launch; from pipeline.torchrun \
import command_of; assert command_of('train_dpo', ['0'], Path.cwd(), os.environ) is None; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_several_processes_are_torchruns(project: Path) -> None:
    expected = [sys.executable, "-m", "pipeline.torchrun", "--standalone", "--nproc-per-node=2", "-m"]
    assert command(project, processes=2) == [*expected, "stages.train_dpo", "0"]
    path = project / "params.yaml"
    path.write_text(path.read_text().partition("\nlaunch:")[0] + "\nlaunch: {processes: 2, nodes: 1, command: []}\n")
    assert command_of("train_dpo", ["0"], project, {}) == [*expected, "stages.train_dpo", "0"]


def test_auto_is_a_process_for_each_gpu(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    found = command(project, processes="auto")
    assert found is not None and "--nproc-per-node=4" in found
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("  device: auto\n", "  device: cpu\n"))
    assert command(project, processes="auto") is None
    path.write_text(path.read_text().replace("  device: cpu\n", "  device: auto\n"))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert command(project, processes="auto") is None


def test_a_command_stands_before_every_stage_that_computes(project: Path) -> None:
    srun = ["srun", "--ntasks=1"]
    assert command(project, command=srun) == [*srun, sys.executable, "-m", "stages.train_dpo", "0"]
    assert command(project, "evaluate_policy", command=srun) == [
        *srun,
        sys.executable,
        "-m",
        "stages.evaluate_policy",
        "0",
    ]
    assert command(project, "write_report", command=srun) is None
    found = command(project, command=srun, processes=8)
    assert found is not None and found[:4] == [*srun, sys.executable, "-m"]


def test_nodes_meet_where_the_stage_is_started(project: Path) -> None:
    srun = ["srun", "--nodes=2", "--ntasks-per-node=1"]
    assert command(project, nodes=2, processes=8, command=srun) == [
        *(*srun, sys.executable, "-m", "pipeline.torchrun", "--nnodes=2", "--rdzv-backend=c10d"),
        *("--rdzv-endpoint=one:29400", "--rdzv-id=7", "--nproc-per-node=8", "-m", "stages.train_dpo", "0"),
    ]
    with pytest.raises(PipelineError, match=r"launch: .*command has to start a process on each"):
        command(project, nodes=2)


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(PipelineError, match=r"launch\.command begins with srunn, which cannot be started"):
        replace_process(["srunn"], os.environ)


def test_the_launch_becomes_the_command(project: Path) -> None:
    command(project, command=["echo", "behind"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    launch = [sys.executable, "-m", "pipeline.launch", "train_sft"]
    done = subprocess.run(launch, cwd=project, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"behind {sys.executable} -m stages.train_sft\n"
    command(project, command=["srunn"])
    done = subprocess.run(launch, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("error in train_sft: params.yaml: launch.command begins")


def test_the_lists_name_scripts() -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")}
    assert {*SHARED} <= {*COMPUTE} <= scripts


def test_a_script_that_starts_to_compute_is_listed() -> None:
    """But for fetch_models, which converts files."""
    texts = {path.stem: path.read_text() for path in (ROOT / "stages").glob("*.py")}
    assert {name for name, text in texts.items() if "start_compute(" in text} - {"fetch_models"} <= {*COMPUTE}


def failed(exitcode: int, *, said: str | None = None, at: int = 0) -> Any:
    """As torchrun reports it."""
    message: Any = "something general" if said is None else {"message": said, "extraInfo": {}}
    name = signal.Signals(-exitcode).name if exitcode < 0 else "<N/A>"
    return SimpleNamespace(exitcode=exitcode, message=message, signal_name=lambda: name, timestamp=at)


def test_the_process_that_said_why_is_named_once() -> None:
    failures = {0: failed(-15), 1: failed(-9), 2: failed(1, said="error in train_sft: the loss is nan")}
    assert failure_text("train_sft", 3, failures) == "error in train_sft (rank 2 of 3 processes): the loss is nan"


def test_the_first_reason_is_said_and_not_that_of_a_process_which_has_lost_the_others_by_it() -> None:
    late = failed(1, said="error in train_sft: the processes cannot exchange", at=6)
    failures = {0: late, 1: failed(1, said="error in train_sft: the loss is nan", at=1)}
    assert failure_text("train_sft", 2, failures) == "error in train_sft (rank 1 of 2 processes): the loss is nan"


def test_a_process_that_was_killed_comes_before_those_that_torchrun_ended() -> None:
    text = failure_text("train_dpo 0", 2, {0: failed(-15), 1: failed(-9)})
    assert text is not None and text.startswith(
        "error in train_dpo 0 (rank 1 of 2 processes): it was killed by signal 9"
    )
    assert text.endswith("Run it again: it goes on from the last state.")
    text = failure_text("train_dpo 0", 2, {1: failed(7)})
    assert text is not None and "it ended with code 7 and said no more" in text
    assert failure_text("train_dpo 0", 2, {0: failed(130), 1: failed(-15)}) is None


def test_each_process_gets_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logging.disable", lambda _: None)
    monkeypatch.setattr("pipeline.processes.usable_cores", lambda: 7)
    for name in ("OMP_NUM_THREADS", torchrun.PARENT):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    torchrun._prepare(2)
    assert (os.environ["OMP_NUM_THREADS"], os.environ[torchrun.PARENT]) == ("3", str(os.getpid()))
