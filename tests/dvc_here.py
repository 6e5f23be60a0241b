"""DVC's command line in this process: one of its own takes longer to import DVC than to do what is asked."""

import contextlib
import io
from pathlib import Path

from dvc.cli import main


def dvc(root: Path, *arguments: str) -> str:
    """What `dvc ARGUMENT ...` prints in a folder; an error of it fails the test."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(root), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    assert code == 0, f"dvc {' '.join(arguments)}: {out.getvalue()}{err.getvalue()}"
    return out.getvalue()
