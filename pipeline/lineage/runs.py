"""Finds the MLflow runs that wrote an artifact, by its content hash."""

import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.excerpts import shorten
from pipeline.lineage.logged_values import same_value
from pipeline.project.hashing import folder_hash
from pipeline.project.home import project_home
from pipeline.project.lockfile import Artifact, StageRecord
from pipeline.tracking.project_store import connect
from pipeline.tracking.store_address import absolute_store, masked

_SQLITE = "sqlite:///"
_ALL = 3
"""MLflow's ViewType for everything, deleted runs and experiments included."""
_NAMED = 3
"""Files and parameters that a line names; further ones are only counted."""


@dataclass(frozen=True)
class Run:
    """What MLflow knows of one execution of a stage."""

    run_id: str
    status: str
    commit: str | None
    dirty: bool | None
    device: str | None
    versions: dict[str, str]
    started: str | None = None
    """UTC, to the second."""
    experiment: str | None = None
    """Name of the DVC experiment."""
    journal: str | None = None
    """The name under which the stage logged it."""
    doubts: list[str] = field(default_factory=list)
    """Why this may not be the run that wrote the artifact."""

    def describe(self) -> str:
        """One line."""
        code = (
            "no git commit" if self.commit is None else f"code {self.commit[:10]}{' + changes' if self.dirty else ''}"
        )
        versions = ", ".join(
            f"{name} {self.versions[name]}" for name in ("torch", "transformers") if name in self.versions
        )
        experiment = f"experiment {self.experiment}" if self.experiment else None
        parts = (self.started, self.status, experiment, code, self.device, versions, self.run_id, *self.doubts)
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class LoggedRun:
    """What a stage logged of one execution, to be compared with dvc.lock."""

    run_id: str
    deleted: bool
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def journal(self) -> str | None:
        """The name under which a stage logged it; None if no stage did."""
        return self.tags.get("journal")

    @property
    def stage(self) -> str | None:
        """The stage of which it claims to be a run."""
        return self.tags.get("stage")

    @property
    def code(self) -> str | None:
        """One hash of all modules of the stage."""
        return self.tags.get("dvc.code")

    @property
    def is_policy(self) -> bool:
        """Whether it is the run of an evaluated policy."""
        return "policy" in self.tags

    def read(self, dep: Artifact) -> str | None:
        """The content hash of an input as it was read."""
        return self.tags.get(f"dvc.dep/{dep.path}")

    def wrote(self, out: Artifact) -> str | None:
        """The content hash of an output as it was written."""
        return self.tags.get(f"dvc.out/{out.path}")


class Runs:
    """Searches the tracking store; without one it finds nothing and says so in `missing`."""

    def __init__(self, uri: str, root: Path) -> None:
        """Args:
        uri: of the store, see `store_uri`.
        root: of the project.
        """
        self.missing: str | None = None
        self._uri = uri
        self._client: Any = None
        self._experiments: list[str] = []
        if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).exists():
            self.missing = f"{masked(uri)} is not here: run ids, commits and environments are unknown"
            return
        state = project_home(root) / ".state"
        # MLflow would log a traceback for a damaged store; `missing` says it in a sentence
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        try:
            _open_sqlite(uri)
            state.mkdir(exist_ok=True)
            self._client = connect(uri, state / "mlflow.lock").client
            experiments = self._client.search_experiments(view_type=_ALL)
            self._experiments = [experiment.experiment_id for experiment in experiments]
        except Exception as error:  # MLflow raises anything from SQLAlchemy to requests
            self._give_up(uri, error)

    def of(self, stage: StageRecord, output: Artifact) -> list[Run] | None:
        """Runs of a stage that say they wrote this output with this content, the newest first; None without a store.

        Anybody can delete or copy runs and edit their tags, so `doubts` of a run says where it does not agree with
        dvc.lock or with another run.
        """
        if self._client is None:
            return None
        query = f"tags.stage = '{stage.name}' and tags.`dvc.out/{output.path}` = '{output.md5}'"
        try:
            return _mark_copies([_run(run, stage) for run in self._search(query)])
        except Exception as error:  # a store may break in the middle
            self._give_up(self._uri, error)
            return None

    def of_version(self, stage: StageRecord) -> list[LoggedRun]:
        """Runs that wrote all outputs of a stage as dvc.lock has them, the newest first.

        If there are none: runs of the same code that wrote the same paths. Empty without a store.
        """
        if self._client is None or not stage.outputs:
            return []
        wrote = " and ".join(f"tags.`dvc.out/{out.path}` = '{out.md5}'" for out in stage.outputs)
        code = folder_hash({item.path: item.md5 for item in stage.code})
        try:
            runs = self._search(wrote) or self._search(f"tags.`dvc.code` = '{code}'")
        except Exception as error:  # a store may break in the middle
            self._give_up(self._uri, error)
            return []
        paths = {f"dvc.out/{out.path}" for out in stage.outputs}
        return [_logged(run) for run in runs if paths <= run.data.tags.keys()]

    def _search(self, query: str) -> list[Any]:
        """Runs of all experiments, deleted ones included, the newest first."""
        runs, token = [], None
        while True:
            page = self._client.search_runs(
                self._experiments, query, run_view_type=_ALL, order_by=["attributes.start_time DESC"], page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def _give_up(self, uri: str, error: Exception) -> None:
        reason = shorten(" ".join(str(error).partition("\n")[0].split())) or type(error).__name__
        self._client = None
        self.missing = masked(
            f"{uri} cannot be read ({reason}): run ids, commits and environments are unknown. If the file is damaged, "
            "move it away and put a copy in its place; the audit of data, parameters and code needs no store."
        )


def store_uri(named: Any, root: Path) -> str | None:
    """Where runs went: MLFLOW_TRACKING_URI, else `named`, the `tracking.uri` of params.yaml; None without either."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or named
    return absolute_store(uri, root) if isinstance(uri, str) and uri else None


def _open_sqlite(uri: str) -> None:
    """Fail at once if a SQLite store cannot be opened: MLflow would retry for minutes."""
    if uri.startswith(_SQLITE):
        with closing(sqlite3.connect(f"file:{quote(uri.removeprefix(_SQLITE))}?mode=ro", uri=True)) as store:
            store.execute("SELECT name FROM sqlite_master").fetchall()


def _run(run: Any, stage: StageRecord) -> Run:
    tags = run.data.tags
    dirty = tags.get("git.dirty")
    versions = {key.removeprefix("version."): value for key, value in tags.items() if key.startswith("version.")}
    return Run(
        run_id=run.info.run_id,
        status=run.info.status,
        commit=tags.get("git.commit"),
        dirty=None if dirty is None else dirty == "true",
        device=tags.get("device"),
        versions=dict(sorted(versions.items())),
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        experiment=tags.get("DVC_EXP_NAME") or tags.get("dvc.experiment"),
        journal=tags.get("journal"),
        doubts=_doubts(run, stage),
    )


def _logged(run: Any) -> LoggedRun:
    deleted = run.info.lifecycle_stage == "deleted"
    return LoggedRun(run.info.run_id, deleted, dict(run.data.tags), dict(run.data.params), dict(run.data.metrics))


def _doubts(run: Any, stage: StageRecord) -> list[str]:
    """The points in which a run does not agree with the stage as dvc.lock has it."""
    tags = run.data.tags
    doubts = ["deleted in MLflow"] if run.info.lifecycle_stage == "deleted" else []
    if "journal" not in tags:
        doubts.append("not logged by a stage")
    others = [item.path for item in stage.inputs if tags.get(f"dvc.dep/{item.path}") != item.md5]
    if others:
        doubts.append(f"says it read another {_first(others)} than dvc.lock has")
    params = run.data.params
    others = [key for key, value in stage.params.items() if key not in params or not same_value(value, params[key])]
    if others:
        doubts.append(f"says it had another {_first(others)} than dvc.lock has")
    if tags.get("dvc.code") != folder_hash({item.path: item.md5 for item in stage.code}):
        doubts.append("says it ran other code than dvc.lock has")
    return doubts


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _mark_copies(runs: Sequence[Run]) -> list[Run]:
    """Add a doubt to runs with the same journal: an execution logs one run, so all but one of them are copies."""
    counts = Counter(run.journal or run.run_id for run in runs)
    marked = []
    for run in runs:
        count = counts[run.journal or run.run_id]
        doubt = [f"one of {count} runs that say they are the same execution"] if count > 1 else []
        marked.append(replace(run, doubts=[*run.doubts, *doubt]))
    return marked
