"""The check of a GPU: without one it says so, a part that fails stops no other, and its parts run on a tiny model."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu_check, gpu_parts
from benchmarks.gpu_parts import PARTS, Row, Scale
from pipeline.models.compute import Compute
from tests.memory import peaks

SMALL = Scale("cpu", small=True)


@pytest.fixture(scope="module")
def scale(tmp_path_factory: pytest.TempPathFactory) -> Scale:
    found = Scale("cpu", small=True, folder=tmp_path_factory.mktemp("models"))
    gpu_parts.create_models(found)
    return found


@pytest.fixture
def in_this_process(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts set threads and number format for their process; here those of the tests stay."""
    for module in (gpu_parts, peaks):
        monkeypatch.setattr(module, "start_compute", lambda runtime: compute)


def ran(part: str, scale: Scale, seconds: float) -> list[dict[str, Any]]:
    if part == "determinism":
        raise RuntimeError("CUDA out of memory | tried\nagain")
    if part == "train-dpo":
        raise subprocess.TimeoutExpired(part, seconds)
    return [{"part": part, "what": "all", "measured": "1", "beside": "2", "verdict": "equal"}]


def test_without_a_gpu_it_says_so_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"^No GPU was found, so nothing was checked: [^.]*\.$"):
        gpu_check.main(["--out", str(tmp_path / "table.md")], runner=ran)
    assert not (tmp_path / "table.md").exists()


def test_a_part_that_fails_is_a_row_and_the_others_run() -> None:
    rows = gpu_check.run_parts(["rollouts-fp32", "determinism", "train-dpo", "trl-dpo"], SMALL, seconds=60, runner=ran)
    assert [row.part for row in rows] == ["rollouts-fp32", "determinism", "train-dpo", "trl-dpo"]
    assert rows[1].measured == "FAILED: CUDA out of memory / tried again"
    assert rows[2].measured.startswith("FAILED: stopped after 60 s")
    assert rows[3] == Row("trl-dpo", "all", "1", "2", "equal")


def test_when_the_time_is_over_the_rest_says_so() -> None:
    rows = gpu_check.run_parts(["trl-dpo", "trl-sft"], SMALL, seconds=0, runner=ran)
    assert {row.measured for row in rows} == {"not run: no time was left"}


def test_the_table_names_what_it_is_of(tmp_path: Path) -> None:
    out = tmp_path / "results" / "table.md"
    gpu_check.main(["--device", "cpu", "--small", "--only", "trl-dpo", "--out", str(out)], runner=ran)
    text = out.read_text()
    assert f"torch {torch.__version__}" in text
    assert "Its figures say nothing of a GPU." in text
    assert text.splitlines()[-1] == "| trl-dpo | all | 1 | 2 | equal |"


def test_a_process_that_fails_ends_in_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    done = (1, "begins\n", "Traceback\nValueError: no room\n\n")
    monkeypatch.setattr(gpu_parts, "_finished", lambda *_: done)
    with pytest.raises(RuntimeError, match=r"^ValueError: no room$"):
        gpu_parts.worker("rollouts-fp32", SMALL)


def test_what_takes_too_long_ends_with_those_that_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    command = ["bash", "-c", f"sleep 60 & echo $! > {child}; wait"]
    with pytest.raises(subprocess.TimeoutExpired):
        gpu_parts._finished(command, {"PATH": "/usr/bin:/bin"}, 0.3)
    stat, deadline = Path(f"/proc/{child.read_text().strip()}/stat"), time.monotonic() + 20
    # a killed process is there until the kernel comes to it
    while (running := stat.exists() and stat.read_text().split()[2] != "Z") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not running


@pytest.mark.usefixtures("in_this_process")
def test_rollouts_of_a_tiny_model(scale: Scale) -> None:
    tokens, logprobs = PARTS["rollouts-fp32"](scale)
    assert (tokens.measured, tokens.verdict) == ("8 of 8 rows equal", "equal")
    assert logprobs.verdict == "close"


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("kind", ["dpo", "ppo"])
def test_a_tiny_training_has_a_peak_a_plan_and_a_speed(scale: Scale, kind: str) -> None:
    memory, speed = PARTS[f"train-{kind}"](scale)
    assert memory.what == speed.what and kind in memory.what
    assert memory.measured.endswith("MiB") and memory.beside.startswith("planned") and float(memory.verdict) > 0
    assert speed.measured.endswith("tokens/s")


@pytest.mark.usefixtures("in_this_process")
def test_one_seed_has_one_hash_of_each_weight(scale: Scale, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "load_policy", peaks.load_policy)  # which the part replaces
    monkeypatch.setattr(gpu_parts, "worker", lambda _, where, kind: gpu_parts.trained_hashes(where, kind))
    assert [row.verdict for row in gpu_parts.determinism(scale)] == ["same bytes", "same bytes"]


def test_other_bytes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([{"one": "a", "two": "b"}, {"one": "a", "two": "c"}] * 2)
    monkeypatch.setattr(gpu_parts, "worker", lambda *_: next(found))
    row = gpu_parts.determinism(SMALL)[0]
    assert (row.measured, row.verdict) == ("1 of 2 tensors equal", "DIFFERENT, first two")
