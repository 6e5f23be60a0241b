"""Does the working folder, or a git revision, still hold what the lineage says, and do its parts fit together?"""

from collections.abc import Container
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.lineage.edges import edge_breaks
from pipeline.lineage.tree import Node
from pipeline.params.loading import flatten
from pipeline.project.lockfile import Artifact, Lock, StageRecord, revision_file


def breaks(tree: Node, lock: Lock, contents: Contents, root: Path, *, revision: str | None = None) -> list[str]:
    """What behind a node is not what it was in the run; empty when all is.

    Every artifact, code file and parameter, and every edge: what a stage read against what the producer has written.

    Args:
        revision: a git revision whose code and parameters are compared; None is the working folder.
    """
    params = _parameters(root, revision)
    stages = _stages(tree)
    found = edge_breaks(stages, lock, contents)
    stale = {line.partition(": ")[0] for line in found}
    if revision is None:
        nodes = [node for node in tree.walk() if node.path not in stale]
        found += [line for node in nodes if (line := _changed(node, contents))]
    for stage in stages:
        for item in stage.code:
            if contents.current_hash(item.path) != item.md5:
                found.append(f"{item.path}: changed since {stage.name} ran with it")
        for key, value in stage.params.items():
            now = params.get(key, _MISSING)
            if now != value:
                shown = "gone" if now is _MISSING else repr(now)
                found.append(f"params.yaml, {key}: {shown} now, {value!r} when {stage.name} ran")
    return list(dict.fromkeys(found))


def cache_breaks(tree: Node, cached: Container[str], contents: Contents) -> list[str]:
    """What is missing or corrupt in DVC's cache of the outputs behind a node.

    Args:
        cached: outputs that DVC keeps there.
    """
    outputs = {(out.path, out.md5): out for stage in _stages(tree) for out in stage.outputs if out.path in cached}
    return list(dict.fromkeys(line for out in outputs.values() for line in contents.cache_breaks(out)))


def _stages(tree: Node) -> list[StageRecord]:
    return list({node.stage.name: node.stage for node in tree.walk() if node.stage is not None}.values())


def _changed(node: Node, contents: Contents) -> str | None:
    """What lies at a node's path now, when it is another content."""
    if contents.current_hash(node.path) == node.md5:
        return None
    source = "" if node.stage is None else f" (written by {node.stage.name})"
    return contents.difference(Artifact(node.path, node.md5)) + source


def _parameters(root: Path, revision: str | None) -> dict[str, object]:
    content = (root / "params.yaml").read_bytes() if revision is None else revision_file(root, revision, "params.yaml")
    try:
        return flatten(YAML(typ="safe").load((content or b"{}").decode()))
    except (YAMLError, AttributeError, UnicodeDecodeError) as error:
        raise PipelineError(f"params.yaml{f' at {revision}' if revision else ''} cannot be read: {error}") from error


_MISSING = object()
