"""In MLflow a policy is one run, with everything that decided it, and the table of policies holds nothing else."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
from ruamel.yaml import YAML

from pipeline.compare.__main__ import main
from tests.tiny_pipeline.conftest import run

DPO = "dpo seed 0 · beta=0.1"
PPO = "ppo seed 0 · kl_coef=0.35"
HYBRID = "hybrid seed 0 · beta=0.1 · kl_coef=0.35"
POLICIES = {"sft", DPO, PPO, HYBRID}


@pytest.fixture(scope="module")
def client(project: Path) -> Any:
    return mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")


@pytest.fixture(scope="module")
def runs(client: Any, project: Path) -> dict[str, Any]:
    """The newest run of each policy, by name, of those that are finished."""
    experiment = client.get_experiment_by_name("reproducible-rlhf")
    found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    return {one.info.run_name: one for one in found if one.info.status == "FINISHED"}


def test_each_evaluated_policy_is_a_run_and_stages_are_elsewhere(client: Any, runs: dict[str, Any]) -> None:
    assert set(runs) >= POLICIES
    assert {one.data.tags["stage.kind"] for one in runs.values()} == {"evaluate_sft", "evaluate_policy"}
    stages = client.get_experiment_by_name("reproducible-rlhf-stages")
    kinds = {one.data.tags["stage.kind"] for one in client.search_runs([stages.experiment_id])}
    assert {"train_sft", "optimize_policy", "write_report"} <= kinds and not kinds & {"evaluate_sft", "evaluate_policy"}


def test_a_run_has_the_parameters_of_its_whole_lineage(project: Path, runs: dict[str, Any]) -> None:
    lock = YAML(typ="safe").load((project / "dvc.lock").read_text())["stages"]
    beta = lock["optimize_policy@dpo-0"]["params"]["params.yaml"]["optimize.dpo"]["beta"]
    dpo, hybrid, ppo = (runs[name].data for name in (DPO, HYBRID, PPO))
    assert dpo.params["optimize.dpo.beta"] == hybrid.params["optimize.dpo.beta"] == str(beta)
    assert "optimize.ppo.kl_coef" in ppo.params and "optimize.dpo.beta" not in ppo.params
    assert "optimize.ppo.kl_coef" not in dpo.params
    for section in ("data.", "train_sft.", "collect_preferences.", "train_reward.", "sampling.", "evaluate_policy."):
        assert any(key.startswith(section) for key in dpo.params), section
    assert not [one.data.tags["lineage.unknown"] for one in runs.values() if "lineage.unknown" in one.data.tags]
    assert len([tag for tag in dpo.tags if tag.startswith("dvc.code")]) == 1


def test_a_run_has_the_results_costs_and_course_of_training(project: Path, runs: dict[str, Any]) -> None:
    written = json.loads((project / "reports/policies/dpo/seed-0/metrics.json").read_text())
    metrics = runs[DPO].data.metrics
    assert metrics["judge_score"] == pytest.approx(written["judge_score"]["mean"])
    assert metrics["interval/judge_score.low"] == pytest.approx(written["judge_score"]["low"])
    assert metrics["kl_nats_per_sequence"] == pytest.approx(written["kl_nats_per_sequence"])
    assert metrics["cost/optimize_policy.seconds"] > 0
    assert metrics["cost/all_stages.seconds"] > metrics["cost/optimize_policy.seconds"]
    assert "train/loss" in metrics


def test_datasets_checkpoint_and_files_belong_to_the_run(project: Path, client: Any, runs: dict[str, Any]) -> None:
    one = runs[DPO]
    lock = YAML(typ="safe").load((project / "dvc.lock").read_text())["stages"]
    digests = {dep["path"]: dep["md5"] for stage in lock.values() for dep in stage["deps"]}
    data = {item.dataset.name: (item.dataset.digest, item.tags[0].value) for item in one.inputs.dataset_inputs}
    train = "artifacts/preferences/accepted/train.jsonl"
    assert data[train] == (digests[train], "training") and data["data/raw/reviews.csv"][1] == "source"
    assert data["artifacts/data/prompts/evaluation.jsonl"][1] == "test"
    (model,) = client.search_logged_models([one.info.experiment_id], f"source_run_id = '{one.info.run_id}'")
    assert model.tags["dvc.hash"] == digests["artifacts/policies/dpo/seed-0"]
    assert {metric.key: metric.dataset_name for metric in model.metrics}["judge_score"].endswith("evaluation.jsonl")
    files = {file.path for file in client.list_artifacts(one.info.run_id)}
    assert {"index.html", "samples.json", "params.yaml", "dvc.lock", "code.json", "plots"} <= files
    assert (
        "[" in one.data.tags["mlflow.note.content"] and "not in this store" not in one.data.tags["mlflow.note.content"]
    )


def test_every_checkpoint_is_a_version_and_one_is_the_candidate(client: Any, runs: dict[str, Any]) -> None:
    versions = {one.run_id: one for one in client.search_model_versions("name = 'reproducible-rlhf'")}
    assert {runs[name].info.run_id for name in POLICIES - {"sft"}} <= set(versions)
    candidate = client.get_model_version_by_alias("reproducible-rlhf", "candidate")
    assert "champion" in client.get_run(candidate.run_id).data.tags


def test_runs_are_compared_in_the_terminal_and_as_a_page(project: Path, runs: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    shown = run(project, sys.executable, "-m", "pipeline.compare", "sft", "dpo seed 0", "--page", str(page))
    assert shown.returncode == 0, shown.stderr
    for words in ("optimize.dpo.beta", "judge_score", "B minus A: ", " to "):
        assert words in shown.stdout and (words in page.read_text() or words == "B minus A: ")


def test_a_run_that_is_not_there_is_named_with_those_that_are(
    project: Path, runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # the command sets variables of its own
    monkeypatch.setattr(sys, "argv", ["compare", "sft", "nobody"])
    with pytest.raises(SystemExit, match=r"(?s)'nobody' names no finished run.*dpo seed 0"):
        main()
