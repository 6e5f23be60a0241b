"""Runs in a small MLflow store, as the stages of a small project log them."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import mlflow

from pipeline.project.hashing import folder_hash
from tests.lineage.conftest import STORE, Project


def client(project: Project) -> Any:
    return mlflow.MlflowClient(f"sqlite:///{project.root / STORE}")


def tags(project: Project, name: str = "train_sft") -> dict[str, str]:
    """As the stage has set them."""
    stage = project.lock().stages[name]
    files = {f"dvc.dep/{item.path}": item.md5 for item in stage.inputs}
    files |= {f"dvc.out/{item.path}": item.md5 for item in stage.outputs}
    files["dvc.code"] = folder_hash({item.path: item.md5 for item in stage.code})
    return {"stage": name, "journal": f"1000-{name}-1", **files}


def logged(
    project: Project, name: str = "train_sft", *, params: dict[str, str] | None = None, **changes: str | None
) -> str:
    """A run of the stage; returns its id.

    Args:
        params: where they are not those of dvc.lock.
        changes: of its tags; None leaves one out.
    """
    told = {**tags(project, name), **changes}
    run = client(project).create_run("0", tags={key: value for key, value in told.items() if value is not None})
    identity: str = run.info.run_id
    stage = project.lock().stages[name]
    values = {key: str(value) for key, value in stage.params.items()} if params is None else params
    for key, value in values.items():
        client(project).log_param(identity, key, value)
    return identity


_WHOLE: dict[str, tuple[bytes, dict[str, str]]] = {}
"""Stores with a run of every stage, and the ids of the runs, by dvc.lock."""


def logged_whole(project: Project) -> dict[str, str]:
    """A run of every stage in a store without runs; ids by stage. For the same dvc.lock they are logged once."""
    store, lock = project.root / STORE, (project.root / "dvc.lock").read_text()
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,), "they would be lost"
    if lock not in _WHOLE:
        ids = {name: logged(project, name) for name in project.lock().stages}
        _WHOLE[lock] = store.read_bytes(), ids
    content, ids = _WHOLE[lock]
    store.write_bytes(content)
    return dict(ids)


def written_again(project: Project, path: str, values: Any) -> str:
    """Put another JSON into an output, and its hash wherever dvc.lock has the old one; returns the new hash."""
    before = next(out["md5"] for entry in project.entries.values() for out in entry["outs"] if out["path"] == path)
    project.write(path, json.dumps(values))
    return relocked(project, path, before)


def relocked(project: Project, path: str, before: str) -> str:
    """Write the hash that a path has now over one in dvc.lock, in its producer and all consumers."""
    (writer,) = [entry for entry in project.entries.values() if any(out["path"] == path for out in entry["outs"])]
    reads, writes = ([item["path"] for item in writer[part]] for part in ("deps", "outs"))
    project.stage(writer["cmd"], reads, writes, writer["params"]["params.yaml"])  # the cache has it, too
    now = next(str(out["md5"]) for out in project.entries[writer["cmd"]]["outs"] if out["path"] == path)
    for entry in project.entries.values():
        for item in entry["deps"]:
            if item["md5"] == before:
                item["md5"] = now
    project.lock()
    return now
