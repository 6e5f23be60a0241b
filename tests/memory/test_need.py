"""Estimated peaks of stages against measured ones, on the machine that runs the tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.environment import ENVIRONMENT
from tests.conftest import ROOT
from tests.memory.peaks import CASES, FEW

LOWEST, HIGHEST = 0.7, 1.4
"""Of estimates against measured peaks, both without libraries."""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peaks are read from Linux's /proc")
@pytest.mark.parametrize(
    ("precision", "which"),
    [
        ("bf16", "few"),
        *(
            pytest.param(one, "all", marks=pytest.mark.slow(beside="test_estimates_are_near_the_measured_peaks"))
            for one in ("bf16", "fp32")
        ),
    ],
)
def test_estimates_are_near_the_measured_peaks(tmp_path: Path, precision: str, which: str) -> None:
    """Trainings of a model of 7M weights, sampling and scoring, in forks of one process."""
    command = [sys.executable, "-m", "tests.memory.peaks", str(tmp_path), precision, which]
    environment = {**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"case"')]
    ratios = {one["case"]: round(one["estimated"] / one["measured"], 2) for one in found}
    print(json.dumps(found, indent=1))
    assert len(ratios) == len(CASES if which == "all" else FEW)
    assert all(LOWEST < ratio < HIGHEST for ratio in ratios.values()), ratios
