"""The MLflow runs that wrote an artifact, joined by its content hash."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.excerpts import shorten
from pipeline.params.schema import Tracking
from pipeline.project.home import project_home
from pipeline.project.lockfile import Artifact
from pipeline.tracking.mirror import connect
from pipeline.tracking.tracker import masked, tracking_uri


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
    """Of DVC."""

    def describe(self) -> str:
        """One line."""
        code = (
            "no git commit" if self.commit is None else f"code {self.commit[:10]}{' + changes' if self.dirty else ''}"
        )
        versions = ", ".join(
            f"{name} {self.versions[name]}" for name in ("torch", "transformers") if name in self.versions
        )
        experiment = f"experiment {self.experiment}" if self.experiment else None
        parts = (self.started, self.status, experiment, code, self.device, versions, self.run_id)
        return ", ".join(part for part in parts if part)


class Runs:
    """Searches the tracking store; without one it finds nothing and says so in `missing`."""

    def __init__(self, tracking: Tracking, root: Path) -> None:
        self.missing: str | None = None
        self._uri = uri = tracking_uri(tracking, root)
        self._client: Any = None
        self._experiments: list[str] = []
        if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
            self.missing = f"{masked(uri)} is not here: run ids, commits and environments are unknown"
            return
        try:
            self._client = connect(uri, project_home(root) / ".state" / "mlflow.lock")
            self._experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
        except Exception as error:  # MLflow raises anything from SQLAlchemy to requests
            self._give_up(uri, error)

    def of(self, stage: str, output: Artifact) -> list[Run]:
        """Runs of a stage that wrote this output with this content, the newest first."""
        if self._client is None:
            return []
        query = f"tags.stage = '{stage}' and tags.`dvc.out/{output.path}` = '{output.md5}'"
        try:
            found = self._client.search_runs(self._experiments, query, order_by=["attributes.start_time DESC"])
        except Exception as error:  # a store may break in the middle
            self._give_up(self._uri, error)
            return []
        return [_run(run) for run in found]

    def _give_up(self, uri: str, error: Exception) -> None:
        reason = shorten(" ".join(str(error).partition("\n")[0].split())) or type(error).__name__
        self._client = None
        self.missing = masked(
            f"{uri} cannot be read ({reason}): run ids, commits and environments are unknown. If the file is damaged, "
            "move it away and put a copy in its place; the audit of data, parameters and code needs no store."
        )


def _run(run: Any) -> Run:
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
        experiment=tags.get("dvc.experiment"),
    )
