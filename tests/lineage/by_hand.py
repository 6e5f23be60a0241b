"""Stages of dvc.lock and runs of MLflow, written by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.lineage.runs import LoggedRun
from pipeline.project.hashing import folder_hash
from pipeline.project.lockfile import Artifact, StageRecord


def artifacts(paths: Iterable[str] | Mapping[str, str]) -> list[Artifact]:
    """Paths with their hashes, or with a hash that tells which path it is of."""
    hashes = paths if isinstance(paths, Mapping) else {path: f"hash of {path}" for path in paths}
    return [Artifact(path, md5) for path, md5 in hashes.items()]


def stage(
    name: str,
    reads: Iterable[str] | Mapping[str, str] = (),
    writes: Iterable[str] | Mapping[str, str] = (),
    *,
    code: Iterable[str] | Mapping[str, str] = (),
    params: dict[str, Any] | None = None,
) -> StageRecord:
    return StageRecord(name, name, artifacts(reads), artifacts(code), artifacts(writes), params or {})


def run_of(record: StageRecord, identity: str = "run", **tags: str | None) -> LoggedRun:
    """The run that such a stage logs; tags that are None are left out."""
    told: dict[str, str | None] = {
        "stage": record.name,
        "journal": f"journal of {identity}",
        "dvc.code": folder_hash({item.path: item.md5 for item in record.code}),
        **{f"dvc.dep/{item.path}": item.md5 for item in record.inputs},
        **{f"dvc.out/{item.path}": item.md5 for item in record.outputs},
        **tags,
    }
    known = {key: value for key, value in told.items() if value is not None}
    return LoggedRun(identity, False, known, {key: str(value) for key, value in record.params.items()}, {})


def with_params(run: LoggedRun, **params: str) -> LoggedRun:
    return replace(run, params={**run.params, **params})


def with_metrics(run: LoggedRun, **metrics: float) -> LoggedRun:
    return replace(run, metrics={key.replace("__", "."): value for key, value in metrics.items()})
