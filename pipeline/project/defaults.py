"""The committed parameters, with which those of a run are compared."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params.dotted import DottedParams
from pipeline.params.loading import flatten
from pipeline.project.lockfile import revision_file

_MAIN = ("beta", "kl_coef", "learning_rate", "num_train_epochs", "total_episodes", "source", "kind")
"""Last parts of the keys that are shown even if their values are the defaults."""
_MISSING = object()


@dataclass(frozen=True)
class Defaults:
    """The values of params.yaml as it was committed upstream; none if that is not known."""

    label: str
    values: DottedParams = field(default_factory=dict)

    def changed(self, params: DottedParams) -> dict[str, str]:
        """Parameters that differ from their default, as `value (default VALUE)`; none if no defaults are known."""
        if not self.values:
            return {}
        different = {key: value for key, value in params.items() if self.values.get(key, _MISSING) != value}
        return {key: f"{value!r} ({self._shown(key)})" for key, value in different.items()}

    def _shown(self, key: str) -> str:
        return f"default {self.values[key]!r}" if key in self.values else "no default"


def committed_defaults(root: Path) -> Defaults:
    """params.yaml at the commit where this clone diverged from its remote; without a remote, at the last commit.

    So parameters that somebody changed and committed in a clone still count as changed.
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


def main_params(params: DottedParams) -> DottedParams:
    """The few parameters that a reader wants to see first."""
    return {key: value for key, value in params.items() if key.rpartition(".")[2] in _MAIN}


def lock_date(root: Path, revision: str) -> str | None:
    """Date and commit of the last change of dvc.lock up to a revision; None if git has none."""
    return _git(root, "log", "-1", "--format=%cs, commit %h", revision, "--", "dvc.lock")


def _git(root: Path, *arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None
