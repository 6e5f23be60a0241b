"""Data that DVC tracks and links: a change in place is told before the old version is missed."""

import subprocess
from pathlib import Path

import pytest

from pipeline.check.findings import Findings
from pipeline.check.links import check_links


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "config", "cache.type", "hardlink,copy"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "data/raw/set").mkdir(parents=True)
    (tmp_path / "data/raw/mine.csv").write_text("a,b\n")
    (tmp_path / "data/raw/set/part.csv").write_text("c,d\n")
    dvc(tmp_path, "add", "-q", "data/raw/mine.csv", "data/raw/set")
    return tmp_path


def dvc(root: Path, *arguments: str) -> None:
    subprocess.run(["dvc", *arguments], cwd=root, check=True, capture_output=True)


def errors(root: Path) -> list[str]:
    findings = Findings()
    check_links(root, findings)
    return [problem.message for problem in findings.errors]


@pytest.mark.parametrize("name", ["data/raw/mine.csv", "data/raw/set/part.csv"])
def test_a_change_through_a_link_is_told_and_mended_as_it_says(root: Path, name: str) -> None:
    file = root / name
    assert errors(root) == [] and not file.stat().st_mode & 0o222
    file.chmod(0o644)  # what root does not need
    with file.open("a") as stream:
        stream.write("e,f\n")
    (message,) = errors(root)
    tracked = f"{name}.dvc" if "mine" in name else "data/raw/set.dvc"
    assert message.startswith(f"{name} was changed in place") and tracked in message
    commands = [part for part in message.split("`") if part.startswith(("dvc unprotect", "rm", "dvc add"))]
    for command in commands:
        subprocess.run(command, cwd=root, check=True, shell=True, capture_output=True)
    assert errors(root) == [] and file.read_text().endswith("e,f\n")


def test_an_edit_of_a_copy_is_nothing_to_tell(root: Path) -> None:
    dvc(root, "unprotect", "data/raw/mine.csv")
    (root / "data/raw/mine.csv").write_text("other\n")
    assert errors(root) == []
