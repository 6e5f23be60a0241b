"""MLflow on a server of its own, with PostgreSQL and a store for artifacts: what was logged arrives there once."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from pipeline.errors import PipelineError
from pipeline.tracking import mirror as mirror_module
from pipeline.tracking.journal import Progress, write_progress
from pipeline.tracking.registry import CANDIDATE
from pipeline.tracking.sync import sync
from tests.tracking.conftest import journals
from tests.tracking.postgres import MlflowServer, cluster, obstacle
from tests.tracking.test_mirror import STEPS, write_journal
from tests.tracking.test_registry import PROMPTS, evaluate, report

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))

SCORES = [0.5, 0.6]
CLONE = """
import sys, time
from pathlib import Path
import mlflow
from pipeline.tracking.sync import sync

meetings, clone, uri = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def meet(when):
    (meetings / f"{when}.{clone}").touch()
    deadline = time.monotonic() + 5
    while len(list(meetings.glob(f"{when}.*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.002)

def at_once(name):
    ask = getattr(mlflow.MlflowClient, name)
    def asked(*arguments, **keywords):
        meet(f"before-{name}")
        answer = ask(*arguments, **keywords)
        meet(f"after-{name}")
        return answer
    setattr(mlflow.MlflowClient, name, asked)

for name in (
    "get_experiment_by_name", "log_inputs", "search_registered_models", "create_model_version",
    "set_registered_model_alias",
):
    at_once(name)
sys.exit(sync(Path.cwd(), uri))
"""
"""`make sync` in a clone that does the first of some calls in the same moment as another clone, and goes on with it."""

PARAMS = {
    "beta": "0.1", "judge.kind": "classifier", "sampling.temperature": "0.7", "sampling.max_new_tokens": "24",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with cluster() as database:
        server = MlflowServer(database, tmp_path_factory.mktemp("store") / "artifacts")
        try:
            server.start()
            yield server
        finally:
            server.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that others share answers late, but it does."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")


def write_journals(root: Path, who: str, model: str) -> list[Path]:
    """A stage, the evaluation of a policy that is registered, and a report that proposes it."""
    written = [write_journal(root, f"{who}-train")]
    time.sleep(0.002)  # they are sent in the order of their times
    written.append(evaluate(root, f"{who}-dpo", model, SCORES))
    time.sleep(0.002)
    written.append(report(root, model, f"{who}-dpo"))
    return written


def only_run(client: mlflow.MlflowClient, name: str) -> Any:
    experiment = client.get_experiment_by_name("tests")
    (run,) = client.search_runs([experiment.experiment_id], f"tags.stage = '{name}'")
    return client.get_run(run.info.run_id)


def assert_arrived_once(server: MlflowServer, who: str, model: str, folder: Path) -> None:
    """All that `write_journals` wrote, as often as it did."""
    client = mlflow.MlflowClient(server.uri)
    train = only_run(client, f"{who}-train")
    assert (train.info.status, train.data.params, train.data.tags["device"]) == ("FINISHED", {"a": "1"}, "cpu")
    losses = client.get_metric_history(train.info.run_id, "loss")
    assert [(point.step, point.value) for point in losses] == [(step, 1 / (step + 1)) for step in range(STEPS)]
    assert len(client.get_metric_history(train.info.run_id, "margin")) == STEPS

    policy = only_run(client, f"{who}-dpo")
    assert policy.info.status == "FINISHED" and policy.data.params == PARAMS
    read = sorted((one.dataset.name, one.dataset.digest) for one in policy.inputs.dataset_inputs)
    assert read == [("data/raw/a.csv", "a" * 32), (PROMPTS["name"], PROMPTS["digest"])]
    (checkpoint,) = client.search_logged_models([policy.info.experiment_id], f"source_run_id = '{policy.info.run_id}'")
    assert [one.model_id for one in policy.outputs.model_outputs] == [checkpoint.model_id]
    assert (checkpoint.params, checkpoint.tags["dvc.hash"], checkpoint.status) == ({"beta": "0.1"}, "f", "READY")
    assert [(one.key, one.value) for one in checkpoint.metrics] == [("judge_score", 0.5)]
    (version,) = client.search_model_versions(f"name = '{model}' and run_id = '{policy.info.run_id}'")
    assert version.source == f"models:/{checkpoint.model_id}" and policy.data.tags["champion"]

    assert [file.path for file in client.list_artifacts(policy.info.run_id)] == ["index.html", "samples.json"]
    table = json.loads(Path(client.download_artifacts(policy.info.run_id, "samples.json", str(folder))).read_text())
    assert [score for _, score in table["data"]] == SCORES


@pytest.mark.slow(beside="tests/tracking/test_registry.py::test_what_another_clone_made_in_the_same_moment_is_taken")
def test_two_clones_that_log_at_once_lose_and_double_nothing(server: MlflowServer, tmp_path: Path) -> None:
    clones, meetings = {who: tmp_path / who for who in ("ann", "bob")}, tmp_path / "meetings"
    meetings.mkdir()
    for who, root in clones.items():
        write_journals(root, who, "films")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLONE, str(meetings), who, server.uri],
            cwd=root,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for who, root in clones.items()
    ]
    told = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(told)
    assert len(list(meetings.iterdir())) == 2 * 2 * 5, "they did not meet"

    client = mlflow.MlflowClient(server.uri)
    names = sorted(experiment.name for experiment in client.search_experiments())
    assert names == ["Default", "tests", "tests-stages"]
    (model,) = client.search_registered_models("name = 'films'")
    versions = {str(one.version) for one in client.search_model_versions("name = 'films'")}
    assert versions == {"1", "2"} and str(model.aliases[CANDIDATE]) in versions
    for who, root in clones.items():
        assert not journals(root)
        assert_arrived_once(server, who, "films", tmp_path)


@pytest.mark.slow(beside="tests/tracking/test_mirror.py::test_what_was_sent_is_not_sent_again")
def test_a_server_that_dies_in_the_middle_of_a_replay_is_told_the_rest_once(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, policy, _ = written = write_journals(tmp_path, "cid", "plays")
    deaths = [(train, 21), (policy, 4)]  # some metrics of a stage were taken, and the version of a policy

    def die(journal: Path, progress: Progress) -> None:
        if deaths and journal == deaths[0][0] and progress.lines >= deaths[0][1]:
            del deaths[0]
            server.kill()
            raise ConnectionError("killed, before what it did was noted")
        write_progress(journal, progress)

    monkeypatch.setattr(mirror_module, "_BATCH", 10)
    monkeypatch.setattr(mirror_module, "write_progress", die)
    assert sync(tmp_path, server.uri) == 1 and len(deaths) == 1
    assert journals(tmp_path) == written
    with pytest.raises(PipelineError, match="cannot be reached"):
        sync(tmp_path, server.uri)
    server.start()
    assert sync(tmp_path, server.uri) == 1 and not deaths
    server.start()
    assert sync(tmp_path, server.uri) == 0 and not journals(tmp_path)
    assert_arrived_once(server, "cid", "plays", tmp_path)
