"""The repository's own parameters, against which those of a run are shown."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params.loading import flatten
from pipeline.project.lockfile import revision_file

_MAIN = ("beta", "kl_coef", "learning_rate", "num_train_epochs", "total_episodes", "source", "kind")
"""Last parts of the keys that are shown even where nobody has changed them."""
_MISSING = object()


@dataclass(frozen=True)
class Defaults:
    """params.yaml as it was committed upstream."""

    label: str
    values: dict[str, Any] = field(default_factory=dict)

    def changed(self, params: dict[str, Any]) -> dict[str, str]:
        """Parameters with another value than the default, as `value (default)`; none where no default is known."""
        if not self.values:
            return {}
        different = {key: value for key, value in params.items() if self.values.get(key, _MISSING) != value}
        return {key: f"{value!r} ({self._shown(key)})" for key, value in different.items()}

    def _shown(self, key: str) -> str:
        return f"default {self.values[key]!r}" if key in self.values else "no default"


def committed_defaults(root: Path) -> Defaults:
    """params.yaml where this clone left the branch that it was cloned from; without a remote, that of the last commit.

    One who commits changed parameters in a clone so sees them still as changed.
    """
    base = _git(root, "merge-base", "HEAD", "origin/HEAD") or _git(root, "rev-parse", "HEAD")
    if base is None:
        return Defaults("no git repository: no default is known")
    content = revision_file(root, base, "params.yaml")
    try:
        values = flatten(YAML(typ="safe").load(content.decode())) if content is not None else {}
    except (YAMLError, UnicodeDecodeError, AttributeError):
        values = {}
    return Defaults(f"params.yaml at commit {base[:10]}", values)


def main_params(params: dict[str, Any]) -> dict[str, Any]:
    """The few parameters that a reader asks for first."""
    return {key: value for key, value in params.items() if key.rpartition(".")[2] in _MAIN}


def lock_date(root: Path, revision: str) -> str | None:
    """Date and commit of the last change of dvc.lock up to a revision, None without one."""
    return _git(root, "log", "-1", "--format=%cs, commit %h", revision, "--", "dvc.lock")


def _git(root: Path, *arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None
