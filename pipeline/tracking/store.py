"""All calls to MLflow; the only module that imports it.

Every call may be repeated, by a mirror that continues where another was killed. Parameters and tags are set to the
value that they have, datasets are identified by name and digest, a model by its run and name, files are overwritten,
and of metrics with the same key, step, time and value every SQL store keeps one, behind a server or not.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

Event = Mapping[str, Any]
Answer = TypeVar("Answer")

SAMPLES = "samples.json"
"""The table of a policy's samples, an artifact of its run."""
NOTE = "mlflow.note.content"
"""Tag of a run, an experiment or a model that the UI shows as its description, Markdown."""
EXPERIMENT_ID = "{experiment id}"
"""Placeholder in the tags of an experiment, whose id is not known before it is created."""
_KIND = ("mlflow.experimentKind", "custom_model_development")
"""The kind of experiment for earlier releases of MLflow 3; the present one decides by the address (view.py)."""
COLOUR = "mlflow.runColor"
"""Tag of a run, its colour. Without it the UI picks one at random, and of six runs some mostly look alike."""
_COLOURS = (
    "#2272b4", "#c83243", "#308613", "#de7921", "#8a63bf", "#04867d", "#b45091", "#1f272d", "#facb66", "#8acaff",
)  # fmt: skip
_CONTEXT = "mlflow.data.context"
_DIGEST_LENGTH = 36
_COLLISIONS = ("RESOURCE_ALREADY_EXISTS", "BAD_REQUEST")
_TRIES = 5


def repeated(ask: Callable[[], Answer]) -> Answer:
    """The result of `ask`, which is called again if it collided with the same call of another clone.

    Both clones find no experiment, data set or alias of a name, and both create one. The slower one gets an error: that
    it exists, or, where MLflow does not expect a collision, that of the database (BAD_REQUEST). The next time it finds
    what the other one created. `ask` may create several things, each of which may collide.
    """
    for _ in range(_TRIES - 1):
        try:
            return ask()
        except Exception as error:
            if getattr(error, "error_code", None) not in _COLLISIONS:
                raise
    return ask()


def connect(uri: str) -> "Store":
    """A store that has answered; a SQLite store is created where there is none.

    Raises:
        Exception: anything from SQLAlchemy to requests, as by every call to MLflow.
    """
    import mlflow

    # needed beside the client's address: MLflow looks up the model of a version in the process's store
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient(uri)
    client.search_experiments(max_results=1)
    return Store(client)


def system_monitors() -> list[Any]:
    """MLflow's monitors of this machine: processor and memory, disk, network, and NVIDIA's GPUs if there are any."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(Exception):  # without a driver or NVIDIA's package it raises all kinds of errors
        monitors.append(GPUMonitor())
    return monitors


class Store:
    """A tracking store, through an `MlflowClient`."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def experiment(self, name: str, tags: Mapping[str, str]) -> str:
        """The id of an experiment, which is created if there is none; tags that it has already stay."""
        known = self.client.get_experiment_by_name(name)
        identity = str(self.client.create_experiment(name) if known is None else known.experiment_id)
        set_before = {} if known is None else known.tags
        for key, value in (dict([_KIND]) | dict(tags)).items():
            if key not in set_before:
                self.client.set_experiment_tag(identity, key, value.replace(EXPERIMENT_ID, identity))
        return identity

    def new_colour(self, experiment_id: str) -> str:
        """A colour that none of the experiment's latest runs has."""
        newest = ["attributes.start_time DESC"]
        last = self.client.search_runs([experiment_id], order_by=newest, max_results=len(_COLOURS) - 1)
        taken = {run.data.tags.get(COLOUR) for run in last}
        return next(colour for colour in _COLOURS if colour not in taken)

    def run_of_journal(self, experiment_id: str, journal: str) -> Any:
        """The run with the journal of this name; None if there is none."""
        runs = self.client.search_runs([experiment_id], f"tags.journal = '{journal}'", max_results=1)
        return runs[0] if runs else None

    def run_that_wrote(self, path: str, md5: str) -> Any:
        """The newest run, of any experiment, that wrote an output with this content; None if there is none."""
        every = [experiment.experiment_id for experiment in self.client.search_experiments()]
        query = f"tags.`dvc.out/{path}` = '{md5}'"
        runs = self.client.search_runs(every, query, order_by=["attributes.start_time DESC"], max_results=1)
        return runs[0] if runs else None

    def log(
        self,
        run_id: str,
        *,
        metrics: Sequence[Any] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log metrics, parameters and tags of a run."""
        from mlflow.entities import Param, RunTag

        self.client.log_batch(
            run_id,
            metrics=metrics,
            params=[Param(key, value) for key, value in (params or {}).items()],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
            synchronous=True,
        )

    def log_datasets(self, run_id: str, datasets: Sequence[Event]) -> None:
        """Log the inputs of a run: `name`, `digest` (DVC's content hash), `context`, `source` and `rows` of each."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        self.client.log_inputs(
            run_id,
            datasets=[
                DatasetInput(
                    Dataset(
                        name=dataset["name"],
                        digest=dataset["digest"][:_DIGEST_LENGTH],
                        source_type="local",
                        source=json.dumps({"uri": dataset["source"]}),
                        profile=_profile(dataset),
                    ),
                    [InputTag(_CONTEXT, dataset["context"])],
                )
                for dataset in datasets
            ],
        )

    def log_model(self, experiment_id: str, run_id: str, model: Event, *, at: int) -> str:
        """Log a checkpoint whose weights are elsewhere, with its metrics on a dataset; returns the model's id."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric

        known = self._known_model(experiment_id, run_id, model["name"]) or self.client.create_logged_model(
            experiment_id,
            name=model["name"],
            source_run_id=run_id,
            tags=dict(model["tags"]),
            params=dict(model["params"]),
            model_type="policy",
        )
        model_id = known.model_id
        # a mirror may have been killed after creating it; and outputs are not to be logged twice
        if known.status != LoggedModelStatus.READY:
            self.client.finalize_logged_model(model_id, LoggedModelStatus.READY)
        if all(one.model_id != model_id for one in self.client.get_run(run_id).outputs.model_outputs):
            self.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        data = {"dataset_name": model["dataset"]["name"], "dataset_digest": model["dataset"]["digest"][:_DIGEST_LENGTH]}
        metrics = [
            Metric(key, value, at, 0, model_id=model_id, run_id=run_id, **data)
            for key, value in model["metrics"].items()
        ]
        self.log(run_id, metrics=metrics)
        return str(model_id)

    def _known_model(self, experiment_id: str, run_id: str, name: str) -> Any:
        query = f"source_run_id = '{run_id}' AND name = '{name}'"
        models = self.client.search_logged_models([experiment_id], filter_string=query, max_results=1)
        return models[0] if models else None

    def samples(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Rows of the table of samples in the run of a policy, by prompt id; empty if the run has no table."""
        if not any(file.path == SAMPLES for file in self.client.list_artifacts(run_id)):
            return {}
        with TemporaryDirectory() as folder:
            table = json.loads(Path(self.client.download_artifacts(run_id, SAMPLES, folder)).read_text())
        rows = (dict(zip(table["columns"], row, strict=True)) for row in table["data"])
        return {row["id"]: row for row in rows}

    def log_files(self, run_id: str, folder: Path) -> None:
        """Log every file of a folder as an artifact of a run, under the same name."""
        if folder.is_dir():
            self.client.log_artifacts(run_id, str(folder))


def _profile(dataset: Event) -> str | None:
    """Facts of a dataset that the UI shows; None if its rows were not counted."""
    return None if dataset.get("rows") is None else json.dumps({"num_rows": dataset["rows"]})


def warm_up() -> None:
    """Import MLflow, which takes seconds, before there is something to send."""
    import mlflow  # noqa: F401


def metric(key: str, value: float, at: int, step: int) -> Any:
    """One point of a metric; `at` in ms since 1970."""
    from mlflow.entities import Metric

    return Metric(key, value, at, step)
