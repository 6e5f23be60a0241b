"""Wrong calls of the audit say what is wrong with the call, and damaged files are named as the cause."""

import sys
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.lineage.__main__ import main
from pipeline.lineage.tree import lineage
from pipeline.project import lockfile
from pipeline.project.lockfile import workspace_lock
from tests.lineage.conftest import Project


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--record", ""], "--record needs an id"),
        (["--find", "  "], "--find needs a text"),
        (["--find", "film", "--limit", "0"], "--limit is 1 or more"),
        (["--cache", "artifacts/sft"], "--cache goes with --verify"),
        (["--runs", "artifacts/sft"], "--runs goes with --verify"),
        (["--rev", "HEAD"], "name a PATH"),
    ],
)
def test_an_empty_or_unfit_argument(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["audit", "audit", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2 and message in capsys.readouterr().err


def test_an_unknown_path_gets_the_nearest_ones_and_no_more(rlhf: Project) -> None:
    with pytest.raises(PipelineError, match=r"Nearest among its outputs: artifacts/policies/dpo/seed-0, ") as error:
        lineage("artifacts/policies/dpo/seed0", rlhf.lock(), rlhf.contents(), None)
    assert str(error.value).count(", ") <= 5


@pytest.mark.parametrize("content", [b"", b"\x00\xff{{", b"- 1\n", b"schema: '2.0'\nstages: [1]\n"])
def test_a_damaged_lock_is_the_cause_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    def refuse(_: Path) -> set[str]:
        raise PipelineError("dvc.yaml: cannot read the stages: './dvc.lock' validation failed")

    monkeypatch.setattr(lockfile, "stage_names", refuse)
    (tmp_path / "dvc.lock").write_bytes(content)
    with pytest.raises(PipelineError, match=r"^dvc\.lock is no dvc\.lock that can be read .*git checkout dvc\.lock"):
        workspace_lock(tmp_path)
