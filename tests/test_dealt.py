"""Whatever stages compute with models without training them is the same bytes with any number of processes."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline import group
from pipeline.models import chunked_sampling
from pipeline.models.compute import Compute
from pipeline.models.sampling import sample
from tests.dealt_work import KILLED, ROOT, SIZES, Work, as_bytes, resume_in, save_models
from tests.ranks import as_ranks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, compute: Compute) -> Path:
    made = tmp_path_factory.mktemp("dealt")
    save_models(made, compute)
    return made


@pytest.fixture(scope="module")
def alone(folder: Path, compute: Compute) -> dict[str, str]:
    """The results of one process."""
    return as_bytes(Work.load(folder, compute).results())


@pytest.fixture(scope="module")
def ends(folder: Path) -> dict[str, list[int]]:
    """How the processes of each group ended, once all have worked."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.dealt_work", str(folder)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, list[int]] = json.loads(done.stdout.splitlines()[-1])
    assert all(told[str(size)] == [0] * size for size in SIZES), done.stderr
    return told


def test_threads_in_place_of_processes_compute_the_same_bytes(
    folder: Path, compute: Compute, alone: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    works = [Work.load(folder, compute) for _ in range(3)]
    for results in as_ranks(monkeypatch, 3, lambda rank: as_bytes(works[rank].results())):
        assert {name for name in alone if results[name] != alone[name]} == set()


def test_a_wrong_order_is_seen(
    folder: Path, compute: Compute, alone: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dealt_backwards(items: Sequence[Any]) -> Sequence[Any]:
        return items[group.size() - 1 - group.rank() :: group.size()]

    monkeypatch.setattr(group, "dealt", dealt_backwards)
    works = [Work.load(folder, compute) for _ in range(2)]
    try:
        found = as_ranks(monkeypatch, 2, lambda rank: as_bytes({"samples": works[rank].samples()}))
    except ValueError:  # responses of a chunk for the prompts of another with fewer
        return
    assert alone["samples"] not in [results["samples"] for results in found]


@pytest.mark.slow(beside="test_threads_in_place_of_processes_compute_the_same_bytes")
@pytest.mark.parametrize("size", SIZES)
def test_processes_compute_the_same_bytes(
    folder: Path, alone: dict[str, str], ends: dict[str, list[int]], size: int
) -> None:
    for rank in range(size):
        results = json.loads((folder / f"results-{size}-{rank}.json").read_text())
        assert {name for name in alone if results[name] != alone[name]} == set()


@pytest.mark.slow(
    beside="tests/models/test_chunked_sampling.py::test_one_process_goes_on_where_one_of_three_was_killed"
)
@pytest.mark.parametrize("killed", KILLED)
def test_one_process_goes_on_where_one_of_two_was_killed(
    folder: Path, compute: Compute, ends: dict[str, list[int]], killed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the other one does not wait for it
    assert ends[f"killed {killed}"] == [-9 if rank == killed else 1 for rank in range(2)]
    work, sampled = Work.load(folder, compute), []

    def counted(*arguments: Any, **more: Any) -> Any:
        sampled.append(1)
        return sample(*arguments, **more)

    monkeypatch.setattr(chunked_sampling, "sample", counted)
    whole = work.texts(2)
    every = len(sampled)
    resume = resume_in(folder / f"killed-{killed}")
    kept = {path: path.stat().st_mtime_ns for path in resume.folder.glob("*.pt")}
    assert len(kept) == 2
    assert work.texts(2, resume) == whole
    assert len(sampled) == 2 * every - len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
