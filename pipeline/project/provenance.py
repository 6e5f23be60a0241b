"""What code and which libraries a run used, for its MLflow tags."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "datasets", "dvc", "mlflow", "pandera")
# dvc.lock changes with every run, so only changes of code, graph and parameters make the tree dirty
_SOURCES = ("pipeline", "stages", "dvc.yaml", "params.yaml")


def code_tags(root: Path) -> dict[str, str]:
    """Commit of the code, and whether the working tree differs from it; empty outside a git repository."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = _git(root, "status", "--porcelain", "--", *_SOURCES)
    return {"git.commit": commit, "git.dirty": str(bool(changed)).lower()}


def experiment_tags() -> dict[str, str]:
    """Name and baseline commit of the DVC experiment that the run is part of; empty outside of one."""
    return {name: os.environ[name] for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV") if os.environ.get(name)}


def environment_tags() -> dict[str, str]:
    """Versions of Python and of the libraries that results depend on."""
    versions = {f"version.{name}": importlib.metadata.version(name) for name in _LIBRARIES}
    return {"version.python": platform.python_version(), "platform": platform.platform(), **versions}


def _git(root: Path, *arguments: str) -> str | None:
    result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None
