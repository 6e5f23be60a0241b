"""What differs between the lineages of two versions of an artifact."""

from collections.abc import Mapping

from pipeline.lineage.contents import Contents
from pipeline.lineage.tree import Node
from pipeline.project.lockfile import Artifact

_SHOWN = 5
"""Records that a line names; further ones are only counted."""


def differences(old: Node, new: Node, contents: Contents) -> list[str]:
    """Differences of artifacts, rows (by id), parameters, code and environment, causes first; empty without any."""
    before, after = ({node.path: node for node in tree.walk()} for tree in (old, new))
    lines: list[str] = []
    for path in reversed(list(after)):
        if path not in before:
            lines.append(f"{path}: new")
        elif before[path].md5 != after[path].md5:
            lines.append(f"{path}: {before[path].md5[:12]} -> {after[path].md5[:12]}")
            lines += _rows(before[path], after[path], contents)
    lines += [f"{path}: gone" for path in before if path not in after]
    stages = {node.stage.name: node for node in reversed(list(after.values())) if node.stage is not None}
    for name, node in stages.items():
        other = next((old for old in before.values() if old.stage is not None and old.stage.name == name), None)
        if other is not None:
            lines += [f"{name}: {line}" for line in _stage(other, node)]
    return lines


def _stage(old: Node, new: Node) -> list[str]:
    assert old.stage is not None and new.stage is not None
    lines = _changes("parameter", old.stage.params, new.stage.params)
    code = ({item.path: item.md5[:12] for item in stage.code} for stage in (old.stage, new.stage))
    lines += _changes("code", *code)
    if old.runs and new.runs:
        first, second = old.runs[0], new.runs[0]
        lines += _changes("version of", first.versions, second.versions)
        lines += _changes("environment:", {"device": first.device}, {"device": second.device})
    return lines


def _changes(kind: str, old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    keys = [key for key in [*old, *(key for key in new if key not in old)] if old.get(key) != new.get(key)]
    return [f"{kind} {key}: {old.get(key)} -> {new.get(key)}" for key in keys]


def _rows(old: Node, new: Node, contents: Contents) -> list[str]:
    """Ids of the records that were added and removed, counted by file."""
    before, after = (contents.record_files(Artifact(node.path, node.md5)) for node in (old, new))
    if before is None or after is None:
        holds_rows = new.path.endswith(".jsonl") or after
        return ["  its rows are not compared: the old version is not in the DVC cache"] if holds_rows else []
    lines = []
    for path in sorted(before.keys() | after.keys()):
        ids = [{str(row["id"]) for row in rows.get(path, []) if row.get("id")} for rows in (before, after)]
        for sign, changed in (("+", ids[1] - ids[0]), ("-", ids[0] - ids[1])):
            if changed:
                shown = ", ".join(sorted(changed)[:_SHOWN]) + (", ..." if len(changed) > _SHOWN else "")
                lines.append(f"  {path}: {sign}{len(changed)} records ({shown})")
    return lines
