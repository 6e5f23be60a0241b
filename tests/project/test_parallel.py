"""Stages side by side: each after those that it reads, one a device, and no other after a failure."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.project.graph import stages_before
from pipeline.project.parallel import check_devices, run_side_by_side
from tests.conftest import ROOT

GRAPH = {"data": set[str](), "sft": {"data"}, "dpo": {"sft"}, "ppo": {"sft"}, "report": {"dpo", "ppo"}}


class Machine:
    """Begins stages that take so many seconds, and notes who ran when."""

    def __init__(self, folder: Path, failing: str = "") -> None:
        self.folder, self.failing, self.begun = folder, failing, dict[str, str]()

    def start(self, name: str, device: str) -> "subprocess.Popen[str]":
        self.begun[name] = device
        code = (
            "import pathlib, sys, time; now = time.time(); time.sleep(0.3);"
            f"pathlib.Path({str(self.folder / name)!r}).write_text(f'{{now}} {{time.time()}}');"
            f"sys.exit({int(name == self.failing)})"
        )
        return subprocess.Popen([sys.executable, "-c", code], text=True)

    def times(self, name: str) -> tuple[float, float]:
        first, last = (self.folder / name).read_text().split()
        return float(first), float(last)


def test_every_stage_waits_for_what_it_reads_and_others_run_beside_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    run_side_by_side(GRAPH, ["0", "1"], machine.start)
    assert set(machine.begun) == set(GRAPH)
    for name, before in GRAPH.items():
        assert all(machine.times(one)[1] <= machine.times(name)[0] for one in before)
    dpo, ppo = machine.times("dpo"), machine.times("ppo")
    assert max(dpo[0], ppo[0]) < min(dpo[1], ppo[1]) and machine.begun["dpo"] != machine.begun["ppo"]


def test_after_a_failure_what_runs_ends_and_nothing_begins(tmp_path: Path) -> None:
    machine = Machine(tmp_path, failing="dpo")
    with pytest.raises(PipelineError, match=r"failed: dpo\. Not begun: report"):
        run_side_by_side(GRAPH, ["0", "1"], machine.start)
    assert (tmp_path / "ppo").is_file() and "report" not in machine.begun


@pytest.mark.parametrize(
    ("named", "why"), [("0", "two GPUs or more"), ("0,0", "each once"), ("0,2", "has 2 GPUs"), ("0,gpu", "gpu is none")]
)
def test_one_device_is_refused_and_so_is_one_that_is_not_there(named: str, why: str) -> None:
    assert check_devices("0, 1", 2) == ["0", "1"]
    with pytest.raises(PipelineError, match=why):
        check_devices(named, 2)


def test_the_graph_has_every_stage_after_those_that_it_reads() -> None:
    before = stages_before(ROOT)
    names = list(before)
    assert all(names.index(one) < names.index(name) for name, reads in before.items() for one in reads)
    assert before["optimize_policy@dpo-0"] >= {"train_sft", "score_reference"}
    assert "optimize_policy@ppo-0" not in before["optimize_policy@dpo-0"]
