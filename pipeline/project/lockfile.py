"""What dvc.lock says was read and written by the last run of each stage."""

import subprocess
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import PipelineError
from pipeline.params.dotted import DottedParams
from pipeline.params.loading import flatten
from pipeline.project.graph import stage_names

_SCHEMA = "2.0"
_GATES = ("artifacts/check.json",)
"""Outputs that other stages only wait for: the check has to pass, but its content decides none of their outputs."""


@dataclass(frozen=True)
class Artifact:
    """A path with DVC's content hash of it."""

    path: str
    md5: str

    def covers(self, path: str) -> bool:
        """Whether `path` is this file, or lies in this folder."""
        return PurePosixPath(path).is_relative_to(self.path)


@dataclass(frozen=True)
class StageRecord:
    """One stage as it last ran: its inputs, code, outputs and parameters."""

    name: str
    command: str
    inputs: list[Artifact]
    code: list[Artifact]
    outputs: list[Artifact]
    params: DottedParams
    """Dotted keys of params.yaml with their values."""


class Lock:
    """The stages of one dvc.lock.

    `stale` has the entries of stages that dvc.yaml no longer has, such as those of a method that was removed: DVC
    leaves them in the file, and they are part of no lineage.
    """

    def __init__(self, text: str, *, label: str, names: Container[str]) -> None:
        """Parse it.

        Args:
            label: how error messages name it.
            names: of the stages in dvc.yaml.

        Raises:
            PipelineError: it is no dvc.lock.
        """
        self.label = label
        try:
            content = YAML(typ="safe").load(text)
            if content.get("schema") != _SCHEMA:
                raise PipelineError(
                    f"{label} has schema {content.get('schema')!r}, this audit reads {_SCHEMA!r}: another "
                    "version of DVC wrote it. Run `dvc repro`, or `dvc commit` where the outputs are right."
                )
            records = {name: _stage(name, entry) for name, entry in content["stages"].items()}
        except (YAMLError, KeyError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise PipelineError(
                f"{label} is no dvc.lock that can be read ({type(error).__name__}: {reason}). "
                "`git checkout dvc.lock` brings the committed one back, `dvc repro` writes a new one."
            ) from error
        self.stages = {name: record for name, record in records.items() if name in names}
        self.stale = {name: record for name, record in records.items() if name not in names}

    def producer(self, path: str) -> tuple[StageRecord, Artifact] | None:
        """The stage whose output is this path or a folder around it, with that output; None for raw data."""
        for stage in self.stages.values():
            for output in stage.outputs:
                if output.covers(path):
                    return stage, output
        return None

    def producers(self, path: str) -> list[tuple[StageRecord, Artifact]]:
        """The stages that wrote a path, each with its output: that of `producer`, or all that wrote inside it."""
        covering = self.producer(path)
        if covering is not None:
            return [covering]
        folder = Artifact(path, "")
        return [(stage, out) for stage in self.stages.values() for out in stage.outputs if folder.covers(out.path)]

    def consumers(self, path: str) -> Iterator[StageRecord]:
        """Stages that read a path, a folder around it, or something inside it."""
        for stage in self.stages.values():
            if any(dep.covers(path) or Artifact(path, "").covers(dep.path) for dep in stage.inputs):
                yield stage


def workspace_lock(root: Path) -> Lock:
    """The dvc.lock of the working folder.

    Raises:
        PipelineError: there is none, or it cannot be read.
    """
    path = root / "dvc.lock"
    if not path.exists():
        raise PipelineError(f"{path}: missing. Run `dvc repro`, which writes it, or go to the project's folder.")
    text = path.read_bytes().decode(errors="replace")
    try:
        names = stage_names(root)
    except PipelineError:
        Lock(text, label="dvc.lock", names=())  # raises the clearer error where dvc.lock itself is broken
        raise
    return Lock(text, label="dvc.lock", names=names)


def revision_lock(root: Path, revision: str) -> Lock:
    """The dvc.lock of a git revision, or for `workspace` that of the working folder.

    Raises:
        PipelineError: there is no such revision, or it has no dvc.lock.
    """
    if revision == "workspace":
        return workspace_lock(root)
    text = revision_file(root, revision, "dvc.lock")
    if text is None:
        raise PipelineError(
            f"git has no dvc.lock at {revision!r}. `git log -- dvc.lock` lists the commits that have one."
        )
    return Lock(
        text.decode(errors="replace"), label=f"dvc.lock at {revision}", names=stage_names(root, revision=revision)
    )


def revision_file(root: Path, revision: str, path: str) -> bytes | None:
    """The content of a file at a git revision; None if it has no such file."""
    shown = subprocess.run(["git", "show", f"{revision}:./{path}"], cwd=root, capture_output=True, check=False)
    return shown.stdout if shown.returncode == 0 else None


def _stage(name: str, entry: Mapping[str, Any]) -> StageRecord:
    def artifacts(kind: str) -> list[Artifact]:
        return [Artifact(item["path"], item["md5"]) for item in entry.get(kind, [])]

    deps = artifacts("deps")
    return StageRecord(
        name=name,
        command=entry["cmd"],
        inputs=[dep for dep in deps if not dep.path.endswith(".py") and dep.path not in _GATES],
        code=[dep for dep in deps if dep.path.endswith(".py")],
        outputs=artifacts("outs"),
        params=flatten(entry.get("params", {}).get("params.yaml", {})),
    )
