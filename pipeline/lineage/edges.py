"""Checks that each stage read what its producer wrote, and that stages which read the same path read the same version.

`dvc repro` ensures both. Stages that were run one by one (`dvc repro -s`, `dvc commit`), or a merged dvc.lock, may
disagree: the models of one comparison may then have seen different data.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from pipeline.lineage.contents import Contents
from pipeline.project.hashing import folder_hash
from pipeline.project.lockfile import Artifact, Lock, StageRecord

_SHOWN = 12
"""Hex digits of a hash."""


def edge_breaks(stages: Iterable[StageRecord], lock: Lock, contents: Contents) -> list[str]:
    """Every path of which a stage read another version than its producer wrote, or than another stage read."""
    lines: list[str] = []
    read: dict[str, tuple[StageRecord, str]] = {}
    for stage in stages:
        for dep in stage.inputs:
            producers = list(_written(dep, lock, contents))
            lines += [_stale(stage, path, then, writer, now) for path, then, writer, now in producers if then != now]
            if producers:
                continue
            first, md5 = read.setdefault(dep.path, (stage, dep.md5))
            if md5 != dep.md5:
                lines.append(
                    f"{dep.path}: {first.name} read {md5[:_SHOWN]}, and {stage.name} read {dep.md5[:_SHOWN]}; "
                    f"`dvc repro {first.name} {stage.name}` mends it"
                )
    return lines


def _stale(stage: StageRecord, path: str, then: str, writer: StageRecord, now: str) -> str:
    return (
        f"{path}: {stage.name} read {then[:_SHOWN]}, and {writer.name} has written {now[:_SHOWN]}; "
        f"`dvc repro {stage.name}` mends it"
    )


def _written(dep: Artifact, lock: Lock, contents: Contents) -> Iterable[tuple[str, str, StageRecord, str]]:
    """The parts of an input that stages write: path, hash as read, writer, hash as written."""
    for writer in lock.stages.values():
        for out in writer.outputs:
            if out.path == dep.path:
                yield dep.path, dep.md5, writer, out.md5
            elif out.covers(dep.path):
                yield from _within(dep, out, writer, contents)
            elif dep.covers(out.path):
                yield from ((path, then, writer, now) for path, now, then in _shared(out, dep, contents))


def _within(
    dep: Artifact, out: Artifact, writer: StageRecord, contents: Contents
) -> Iterable[tuple[str, str, StageRecord, str]]:
    """The same for an input that is a file or folder inside an output folder."""
    files = contents.files(out)
    if files is None:
        return
    if not dep.md5.endswith(".dir"):
        yield dep.path, dep.md5, writer, files.get(dep.path, "nothing")
        return
    read = contents.files(dep)
    inside = {path: md5 for path, md5 in files.items() if PurePosixPath(path).is_relative_to(dep.path)}
    if read is None:  # DVC keeps no list of such a folder: only its hash is known
        now = folder_hash({str(PurePosixPath(path).relative_to(dep.path)): md5 for path, md5 in inside.items()})
        yield dep.path, dep.md5, writer, now
        return
    for path in sorted({*inside, *read}):
        yield path, read.get(path, "nothing"), writer, inside.get(path, "nothing")


def _shared(out: Artifact, dep: Artifact, contents: Contents) -> Iterable[tuple[str, str, str]]:
    """Files of an output that lies in an input folder: path, hash as written, hash as read."""
    read, written = contents.files(dep), contents.files(out)
    if read is None or written is None:
        return
    for path, md5 in written.items():
        yield path, md5, read.get(path, "nothing")
