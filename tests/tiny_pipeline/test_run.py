"""The whole graph on a tiny project: `dvc repro`, what it leaves behind, and what a change reruns."""

import json
from pathlib import Path

import mlflow
import pytest
from dvc.utils.serialize import modify_yaml
from mlflow.artifacts import load_dict
from ruamel.yaml import YAML
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from pipeline.data.records import read_records
from pipeline.report.run_sheet import stage_costs
from tests import dvc_here
from tests.tiny_pipeline.conftest import all_runs

STAGES = (
    "check", "fetch_models", "prepare_data", "fit_judge", "train_sft", "collect_preferences", "validate_preferences",
    "train_reward", "evaluate_reward", "score_reference", "find_regressions@0", "evaluate_sft",
    *(f"{stage}@{method}-0" for stage in ("optimize_policy", "select_checkpoint", "evaluate_policy")
      for method in ("dpo", "ppo", "hybrid")),
    "write_report", "publish_models",
)  # fmt: skip


def test_the_comparison_has_its_stable_keys(project: Path) -> None:
    comparison = json.loads((project / "reports/comparison.json").read_text())
    prompts = read_records(project / "artifacts/data/prompts/evaluation.jsonl")
    assert set(comparison["policies"]) == {"sft", "dpo", "ppo", "hybrid"}
    for policy in comparison["policies"].values():
        for interval in ("judge_score", "reward_score", "win_rate_vs_sft"):
            assert set(policy[interval]) == {"mean", "low", "high"}
            assert policy[interval]["low"] <= policy[interval]["mean"] <= policy[interval]["high"]
        for number in ("kl_nats_per_sequence", "perplexity_held_out", "distinct_2", "mean_response_tokens"):
            assert isinstance(policy[number], float)
        assert {row["category"] for row in policy["by_category"]} == {row["category"] for row in prompts}
    assert set(comparison["reward_model"]) >= {
        "accuracy", "longer_wins_accuracy", "initial_loss", "expected_calibration_error",
    }  # fmt: skip
    preferences = comparison["preferences"]
    assert preferences["raw"] == preferences["accepted"] + preferences["quarantined"]


def test_policies_and_reward_model_load_with_transformers(project: Path) -> None:
    for name in ("sft", "dpo", "ppo", "hybrid"):
        AutoModelForCausalLM.from_pretrained(project / "artifacts/release" / name)
    model = AutoModelForSequenceClassification.from_pretrained(project / "artifacts/reward_model")
    assert model.config.num_labels == 1


@pytest.mark.parametrize("method", ["dpo", "ppo"])
def test_a_selected_checkpoint_is_measured_beside_the_last(project: Path, method: str) -> None:
    scored = json.loads((project / f"reports/checkpoints/{method}/seed-0.json").read_text())
    metrics = json.loads((project / f"reports/policies/{method}/seed-0/metrics.json").read_text())
    selected, last = scored["selected_step"], scored["last_step"]
    assert (metrics["selected_step"], metrics["last_step"]) == (selected, last)
    folder = project / f"artifacts/training/{method}/seed-0"
    weights = (project / f"artifacts/policies/{method}/seed-0/adapter_model.safetensors").read_bytes()
    steps = {int(path.name.removeprefix("step-")) for path in folder.glob("checkpoints/step-*")} | {last}
    assert [point["step"] for point in scored["points"]] == [0, *sorted(steps)] and len(steps) > 1
    if selected == last:
        assert weights == (folder / "adapter_model.safetensors").read_bytes() and metrics["last"] is None
    else:
        assert weights != (folder / "adapter_model.safetensors").read_bytes()
        assert set(metrics["last"]) == {"judge_score", "reward_score", "kl_nats_per_sequence"}


def test_the_sft_policy_is_at_no_distance_from_itself(project: Path) -> None:
    sft = json.loads((project / "reports/comparison.json").read_text())["policies"]["sft"]
    assert sft["kl_nats_per_sequence"] == 0.0
    assert sft["win_rate_vs_sft"]["mean"] == 0.5


def test_every_hash_of_the_lock_file_is_on_a_run(project: Path) -> None:
    runs = all_runs(project)
    tags = {run.data.tags["stage"]: run.data.tags for run in runs}
    code = {run.data.tags["stage"]: load_dict(f"{run.info.artifact_uri}/code.json") for run in runs}
    assert set(tags) == set(STAGES)
    assert all(run.info.status == "FINISHED" for run in runs)
    lock = YAML(typ="safe").load(project / "dvc.lock")["stages"]
    for stage, entry in lock.items():
        for out in entry["outs"]:
            assert tags[stage][f"dvc.out/{out['path']}"] == out["md5"], (stage, out["path"])
        for dep in entry["deps"]:
            path = dep["path"]
            known = code[stage][path] if path.endswith(".py") else tags[stage][f"dvc.dep/{path}"]
            assert known == dep["md5"], (stage, path)


def test_training_runs_have_parameters_and_a_curve(project: Path) -> None:
    run = all_runs(project, "tags.stage = 'optimize_policy@ppo-0'")[-1]  # the first one
    assert run.data.params["optimize.ppo.kl_coef"] == "0.35"
    assert "optimize.dpo.beta" not in run.data.params
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    assert [point.step for point in client.get_metric_history(run.info.run_id, "score")] == [1, 2]


def test_costs_are_measured_for_every_stage_and_hashed_in_none(project: Path) -> None:
    costs = json.loads((project / "reports/costs.json").read_text())["stages"]
    assert set(costs) == set(STAGES)
    assert all(one["seconds"] > 0 and one["peak_memory_mib"] > 0 for found in costs.values() for one in found)
    lock = YAML(typ="safe").load(project / "dvc.lock")["stages"]
    outs = {out["path"] for entry in lock.values() for out in entry["outs"]}
    assert "reports/index.html" in outs and not {one for one in outs if "costs" in one or "reports/runs" in one}
    # found again by the hashes of what the stages wrote
    assert set(stage_costs(project, project)) == set(STAGES)


def test_the_page_is_there_and_shows_every_policy(project: Path) -> None:
    page = (project / "reports/index.html").read_text()
    for word in ("SFT", "DPO", "PPO"):
        assert word in page


def test_the_lock_file_is_as_dvc_itself_writes_it(project: Path, tmp_path: Path) -> None:
    """DVC of these tests writes it in another way (tests/quick_dvc.py)."""
    before = (project / "dvc.lock").read_text()
    copy = tmp_path / "dvc.lock"
    copy.write_text(before)
    with modify_yaml(copy):
        copy.write_text("")
    assert copy.read_text() == before


def test_nothing_is_left_to_do_and_plots_and_metrics_show(project: Path) -> None:
    assert "up to date" in dvc_here.dvc(project, "status")
    assert "judge_score" in dvc_here.dvc(project, "metrics", "show")
    dvc_here.dvc(project, "plots", "show")
    assert "Judge_score_against_KL" in (project / "dvc_plots/index.html").read_text()
