"""Does the working folder, or a git revision, still hold what the lineage says, and do its parts fit together?"""

from collections.abc import Container
from pathlib import Path

from pipeline.lineage.contents import Contents
from pipeline.lineage.edges import edge_breaks
from pipeline.lineage.parameters import read_parameters
from pipeline.lineage.source_files import FOLDER, LOST, STAGE, SourceFiles
from pipeline.lineage.tree import Node
from pipeline.project.lockfile import Artifact, Lock, StageRecord


def breaks(tree: Node, lock: Lock, contents: Contents, root: Path, *, revision: str | None = None) -> list[str]:
    """What behind a node is not what it was in the run; empty when all is.

    Every artifact, code file and parameter, and every edge: what a stage read against what the producer has written.

    Args:
        revision: a git revision whose code and parameters are compared; None is the working folder.
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
    """What is missing or corrupt in DVC's cache of the outputs behind a node.

    Args:
        cached: outputs that DVC keeps there.
    """
    outputs = {(out.path, out.md5): out for stage in stages_behind(tree) for out in stage.outputs if out.path in cached}
    return list(dict.fromkeys(line for out in outputs.values() for line in contents.cache_breaks(out)))


def _changed_sources(sources: SourceFiles, tree: Node, contents: Contents) -> list[str]:
    """Raw files, in data/raw or elsewhere, that are not what prepare_data read."""
    found = [line for source in sources.all.values() if (line := sources.state(source))]
    folder = next((node for node in tree.walk() if node.path == FOLDER), None)
    noted = sources.all and all(source.md5 for source in sources.all.values())
    if noted and not found and folder is not None and contents.current_hash(FOLDER) != folder.md5:
        found.append(f"{FOLDER}: files came or went since {STAGE} ran; those that it read are what they were")
    return found


def _lost_sources(sources: SourceFiles) -> list[str]:
    """Of a revision: raw files whose version is nowhere."""
    known = (source for source in sources.all.values() if source.md5 is not None)
    return [f"{source.name}: {LOST}" for source in known if sources.find(source) is None]


def stages_behind(tree: Node) -> list[StageRecord]:
    """The stages that made a node and what is behind it."""
    return list({node.stage.name: node.stage for node in tree.walk() if node.stage is not None}.values())


def _changed(node: Node, contents: Contents) -> str | None:
    """What lies at a node's path now, when it is another content."""
    if contents.current_hash(node.path) == node.md5:
        return None
    source = "" if node.stage is None else f" (written by {node.stage.name})"
    return contents.difference(Artifact(node.path, node.md5)) + source


_MISSING = object()
