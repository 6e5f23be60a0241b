"""The experiments say where the view of the policies is, under the id that they got."""

from pathlib import Path

from pipeline.tracking.experiments import policies_experiment, stages_experiment
from pipeline.tracking.project_store import connect
from pipeline.tracking.view import Mode, address
from tests.tracking.conftest import client


def test_the_description_links_the_view_and_stays_as_users_edit_it(root: Path) -> None:
    store = connect(f"sqlite:///{root / 'mlflow.db'}", root / "lock")
    wanted = policies_experiment("described")
    identity = store.experiment(wanted.name, wanted.tags)
    tags = client(root).get_experiment(identity).tags
    for mode in Mode:
        assert f"]({address('', identity, mode).removeprefix('/')})" in tags["mlflow.note.content"]
    assert "{" not in tags["mlflow.note.content"] and tags["mlflow.experimentKind"] == "custom_model_development"
    client(root).set_experiment_tag(identity, "mlflow.note.content", "mine")
    assert store.experiment(wanted.name, wanted.tags) == identity
    assert client(root).get_experiment(identity).tags["mlflow.note.content"] == "mine"


def test_each_experiment_names_the_other() -> None:
    policies, stages = policies_experiment("films"), stages_experiment("films")
    assert stages.name in policies.tags["mlflow.note.content"]
    assert policies.name in stages.tags["mlflow.note.content"].replace(stages.name, "")
