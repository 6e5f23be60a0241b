"""A bought reward model in place of the own one: fetched, compared, shifted, and what PPO and evaluation read."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.models.compute import Compute
from pipeline.models.reward_loading import load_reward_model
from pipeline.models.text_format import check_same_texts
from pipeline.preferences.pair import passages_of, read_pairs
from tests.tiny_models import save_bought_reward_model
from tests.tiny_pipeline.conftest import run
from tests.tiny_project import edit_params

CANDIDATE = {"name": "bought", "revision": None, "trust_remote_code": False, "dtype": "float32"}


@pytest.fixture(scope="module")
def bought(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project with a candidate that is to be used, its two stages run again."""
    root = tmp_path_factory.mktemp("bought") / "project"
    ignored = shutil.ignore_patterns("mlflow.db", "runs", "tmp", "cache", "release")
    shutil.copytree(project, root, ignore=ignored)
    save_bought_reward_model(root / "data/models/bought", "deberta", root / "data/models/policy")
    candidates = [{**CANDIDATE, "source": "data/models/bought"}]
    edit_params(root, {"evaluate_reward.candidates": candidates, "evaluate_reward.use": "bought"})
    for stage in ("fetch_models", "evaluate_reward"):
        result = run(root, "python", "-m", "pipeline.launch", stage)
        assert result.returncode == 0, result.stdout + result.stderr
    return root


@pytest.mark.slow(beside="tests/evaluation/test_reward_choice.py::test_the_table_marks_the_chosen_one")
def test_both_models_are_in_the_table_and_the_chosen_one_is_reported(bought: Path) -> None:
    metrics = json.loads((bought / "reports/reward_model/metrics.json").read_text())
    assert [row["name"] for row in metrics["models"]] == ["own", "bought"] and metrics["model"] == "bought"
    assert metrics["accuracy"] == metrics["models"][1]["accuracy"]
    gate = json.loads((bought / "artifacts/inputs/ppo/gate.json").read_text())
    assert gate["model"] == "bought" and gate["accuracy"] == metrics["accuracy"]
    assert "seconds" not in json.dumps(metrics)


@pytest.mark.slow(
    beside="tests/evaluation/test_reward_choice.py::test_a_candidate_is_shifted_to_mean_0_over_all_responses"
)
def test_ppo_gets_the_bought_model_shifted_to_the_training_responses(bought: Path, compute: Compute) -> None:
    texts = passages_of(read_pairs(bought / "artifacts/preferences/accepted/train.jsonl"))
    check_same_texts(bought / "artifacts/sft", bought / "artifacts/inputs/ppo/reward_model")
    used = load_reward_model(bought / "artifacts/inputs/ppo/reward_model", compute).score(texts, batch_size=64)
    fetched = load_reward_model(bought / "artifacts/models/reward_candidates/bought", compute)
    scores = fetched.score(texts, batch_size=64)
    assert used.mean().item() == pytest.approx(0.0, abs=1e-4) and scores.std() > 1e-3
    assert (used - (scores - scores.mean())).abs().max() < 1e-4


def test_by_default_ppo_gets_the_very_files_of_the_own_one(project: Path) -> None:
    own, used = project / "artifacts/reward_model", project / "artifacts/inputs/ppo/reward_model"
    names = {file.name for file in own.iterdir()}
    assert names == {file.name for file in used.iterdir()}
    assert all((own / name).read_bytes() == (used / name).read_bytes() for name in names)
