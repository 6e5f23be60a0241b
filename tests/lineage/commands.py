"""The command line of the audit, called in this process."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.lineage.__main__ import main


@dataclass(frozen=True)
class Answer:
    code: int | str | None
    out: str
    err: str

    @property
    def said(self) -> str:
        """All of it with single spaces, as lines are wrapped."""
        return " ".join(f"{self.out} {self.err} {self.code if isinstance(self.code, str) else ''}".split())


Audit = Callable[..., Answer]


def audit_in(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Audit:
    """`audit("--verify", path)`; an error that is not the audit's own is one of the test."""
    monkeypatch.chdir(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def audit(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["audit", "audit", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        said = capsys.readouterr()
        return Answer(exit_.value.code, said.out, said.err)

    return audit


def git(root: Path, *arguments: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *names, *arguments], cwd=root, check=True, capture_output=True, env=environment)
