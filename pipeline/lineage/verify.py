"""Checks that the working folder, or a git revision, still has what the lineage says, and that its parts agree."""

from collections.abc import Container
from pathlib import Path

from pipeline.lineage.contents import Contents
from pipeline.lineage.edges import edge_breaks
from pipeline.lineage.parameters import read_parameters
from pipeline.lineage.source_files import FOLDER, LOST, STAGE, SourceFiles
from pipeline.lineage.tree import Node
from pipeline.project.lockfile import Artifact, Lock, StageRecord


def breaks(tree: Node, lock: Lock, contents: Contents, root: Path, *, revision: str | None = None) -> list[str]:
    """Everything behind a node that differs from what the run recorded, a line each; empty if nothing does.

    Compared are all artifacts, code files and parameters, and what each stage read with what its producer wrote.

    Args:
        revision: compare code and parameters of this git revision; None compares the working folder.
    """
    params = read_parameters(root, revision)
    stages = stages_behind(tree)
    found = edge_breaks(stages, lock, contents)
    stale = {line.partition(": ")[0] for line in found}
    if any(stage.name == STAGE for stage in stages):
        sources = SourceFiles(lock, contents)
        found += _lost_sources(sources) if revision is not None else _changed_sources(sources, tree, contents)
    if revision is None:
        named = {FOLDER} if any(Artifact(FOLDER, "").covers(line.partition(": ")[0]) for line in found) else set()
        nodes = [node for node in tree.walk() if node.path not in stale | named]
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
    """Outputs behind a node that are missing or corrupt in DVC's cache, a line each.

    Args:
        cached: paths of the outputs that DVC keeps in its cache.
    """
    outputs = {(out.path, out.md5): out for stage in stages_behind(tree) for out in stage.outputs if out.path in cached}
    return list(dict.fromkeys(line for out in outputs.values() for line in contents.cache_breaks(out)))


def _changed_sources(sources: SourceFiles, tree: Node, contents: Contents) -> list[str]:
    """Raw files, in data/raw or elsewhere, that differ from what prepare_data read."""
    lines = [line for source in sources.all.values() if (line := sources.state(source))]
    folder = next((node for node in tree.walk() if node.path == FOLDER), None)
    noted = sources.all and all(source.md5 for source in sources.all.values())
    if noted and not lines and folder is not None and contents.current_hash(FOLDER) != folder.md5:
        lines.append(f"{FOLDER}: files came or went since {STAGE} ran; those that it read are what they were")
    return lines


def _lost_sources(sources: SourceFiles) -> list[str]:
    """Raw files of a revision whose content cannot be found."""
    known = (source for source in sources.all.values() if source.md5 is not None)
    return [f"{source.name}: {LOST}" for source in known if sources.find(source) is None]


def stages_behind(tree: Node) -> list[StageRecord]:
    """The stages that made a node and everything behind it."""
    return list({node.stage.name: node.stage for node in tree.walk() if node.stage is not None}.values())


def _changed(node: Node, contents: Contents) -> str | None:
    """How the file or folder at a node's path differs from the node; None if it does not."""
    if contents.current_hash(node.path) == node.md5:
        return None
    source = "" if node.stage is None else f" (written by {node.stage.name})"
    return contents.difference(Artifact(node.path, node.md5)) + source


_MISSING = object()
