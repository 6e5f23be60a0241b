"""The command: help, text, JSON and errors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.external import __main__ as command
from tests.conftest import ROOT


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["external", *arguments])
    command.main()


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps([{"preference": 2}, {"preference": 1}, {"preference": 2}, {"preference": 1.5}]))
    return path


def test_help_names_the_benchmarks() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pipeline.external", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for word in ("rewardbench", "alpacaeval", "annotations"):
        assert word in result.stdout


def test_text_json_and_a_file(
    annotations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "annotations", str(annotations), "--output", str(tmp_path / "result.json"))
    assert "win_rate                    62.50" in capsys.readouterr().out
    run(monkeypatch, "annotations", str(annotations), "--json")
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert shown["win_rate"] == 62.5 and shown == json.loads((tmp_path / "result.json").read_text())


def test_a_judge_measures_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"prompt": "p", "chosen": "a", "rejected": "b", "subset": "math-prm"}))
    with pytest.raises(SystemExit, match=r"error: --judge: .* holds no judge"):
        run(monkeypatch, "rewardbench", str(pairs), "--judge", str(tmp_path))
    with pytest.raises(SystemExit, match=r"error: nowhere\.json: no such file"):
        run(monkeypatch, "rewardbench", "nowhere.json", "--judge", str(tmp_path))
