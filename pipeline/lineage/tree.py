"""The lineage of a checkpoint or report: a tree back to the raw data."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.lineage.runs import Run, Runs
from pipeline.project.lockfile import Artifact, Lock, StageRecord

_NEAR = 5


@dataclass
class Node:
    """An artifact, the stage that wrote it (None for raw data and for a folder of outputs), and what that stage read.

    `files` are those of a folder of raw data, with the hash of each; None if this version cannot be found.
    """

    path: str
    md5: str
    rows: int | None = None
    stage: StageRecord | None = None
    runs: list[Run] | None = None
    """In MLflow; None if it was not asked or did not answer."""
    inputs: list["Node"] = field(default_factory=list)
    files: dict[str, str] | None = None

    def walk(self) -> Iterator["Node"]:
        """This node and all nodes behind it, each version of a path once."""
        seen: set[tuple[str, str]] = set()
        todo = [self]
        while todo:
            node = todo.pop()
            if (node.path, node.md5) not in seen:
                seen.add((node.path, node.md5))
                yield node
                todo += reversed(node.inputs)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        stage = None
        if self.stage is not None:
            stage = {
                "name": self.stage.name,
                "command": self.stage.command,
                "params": self.stage.params,
                "code": {item.path: item.md5 for item in self.stage.code},
                "outputs": {item.path: item.md5 for item in self.stage.outputs},
            }
        return {
            "path": self.path,
            "md5": self.md5,
            "rows": self.rows,
            "stage": stage,
            "runs": [asdict(run) for run in self.runs or ()],
            "files": self.files,
            "inputs": [node.as_dict() for node in self.inputs],
        }


def lineage(path: str, lock: Lock, contents: Contents, runs: Runs | None) -> Node:
    """The tree behind a path.

    Raises:
        PipelineError: no stage writes it.
    """
    written = lock.producer(path)
    if written is None:
        outputs = sorted(out.path for stage in lock.stages.values() for out in stage.outputs)
        former = [stage.name for stage in lock.stale.values() if any(out.covers(path) for out in stage.outputs)]
        if former:
            raise PipelineError(f"{path}: it was written by stage {former[0]}, which dvc.yaml no longer has.")
        near = ", ".join(get_close_matches(path, outputs, n=_NEAR, cutoff=0.0))
        raise PipelineError(f"{path}: {lock.label} knows no stage that writes it. Nearest among its outputs: {near}.")
    return _node(written[1], lock, contents, runs, {})


def _node(artifact: Artifact, lock: Lock, contents: Contents, runs: Runs | None, known: dict[Artifact, Node]) -> Node:
    """The node of an artifact; `known` has those that were built before, because several stages may read one."""
    if artifact in known:
        return known[artifact]
    node = known[artifact] = Node(artifact.path, artifact.md5, rows=_rows(artifact, contents))
    producer = lock.producer(artifact.path)
    if producer is not None:
        stage, output = producer
        node.stage = stage
        node.runs = runs.of(stage, output) if runs is not None else None
        node.inputs = [_node(dep, lock, contents, runs, known) for dep in stage.inputs]
    elif written := lock.producers(artifact.path):
        # a folder in which the outputs of several stages lie, such as the inputs of one method for every seed
        node.inputs = [_node(output, lock, contents, runs, known) for _, output in written]
    elif artifact.md5.endswith(".dir"):
        node.files = contents.files(artifact)
    return node


def _rows(artifact: Artifact, contents: Contents) -> int | None:
    if not artifact.path.endswith(".jsonl"):
        return None
    lines = contents.lines(artifact.path, artifact.md5)
    return None if lines is None else sum(1 for _ in lines)


def relative(path: str, root: Path) -> str:
    """A path as dvc.lock writes it."""
    full = Path(path).resolve()
    return full.relative_to(root.resolve()).as_posix() if full.is_relative_to(root.resolve()) else path.rstrip("/")
