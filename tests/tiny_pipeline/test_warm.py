"""Stages that start warm write what they write when they import their libraries themselves."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.project.hashing import content_hash
from tests.tiny_pipeline.conftest import run

STAGES = {
    ("train_sft",): "artifacts/sft",
    ("validate_preferences",): "artifacts/preferences/accepted",
    ("train_ppo", "0"): "artifacts/training/ppo/seed-0",
}


@pytest.mark.parametrize(
    "stage",
    [
        ("train_sft",),
        *(
            pytest.param(stage, marks=pytest.mark.slow(beside="test_cold_and_warm_write_the_same_bytes"))
            for stage in STAGES
            if stage != ("train_sft",)
        ),
    ],
    ids="-".join,
)
def test_cold_and_warm_write_the_same_bytes(
    project: Path, cold_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: tuple[str, ...]
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(project, root, ignore=shutil.ignore_patterns("mlflow.db", "runs", "tmp", "cache", "release"))
    before = content_hash(root / STAGES[stage])
    hashes = []
    for path in (cold_path, os.environ["PATH"]):
        monkeypatch.setenv("PATH", path)
        shutil.rmtree(root / STAGES[stage])
        done = run(root, "python", "-m", "pipeline.launch", *stage)
        assert done.returncode == 0, done.stderr
        hashes.append(content_hash(root / STAGES[stage]))
    assert hashes == [before, before]
