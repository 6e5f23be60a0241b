"""Does the working folder still hold what the lineage says?"""

from pathlib import Path

from ruamel.yaml import YAML

from pipeline.lineage.contents import Contents
from pipeline.lineage.lockfile import Artifact
from pipeline.lineage.tree import Node
from pipeline.params.loading import flatten


def breaks(tree: Node, contents: Contents, root: Path) -> list[str]:
    """Every artifact, code file and parameter behind a node that is not what it was in the run; empty when all is."""
    params = flatten(YAML(typ="safe").load((root / "params.yaml").read_text()))
    found: list[str] = []
    for node in tree.walk():
        if contents.current_hash(node.path) != node.md5:
            source = "" if node.stage is None else f" (written by {node.stage.name})"
            found.append(contents.difference(Artifact(node.path, node.md5)) + source)
        if node.stage is None:
            continue
        for item in node.stage.code:
            if contents.current_hash(item.path) != item.md5:
                found.append(f"{item.path}: changed since {node.stage.name} ran with it")
        for key, value in node.stage.params.items():
            now = params.get(key, _MISSING)
            if now != value:
                shown = "gone" if now is _MISSING else repr(now)
                found.append(f"params.yaml, {key}: {shown} now, {value!r} when {node.stage.name} ran")
    return list(dict.fromkeys(found))


_MISSING = object()
