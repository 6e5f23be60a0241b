"""Hybrid: PPO from the DPO policy on the prompts of the categories that DPO made worse."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.data.records import read_records

INPUTS = "artifacts/inputs/hybrid/seed-0"


@pytest.fixture
def found(project: Path) -> dict[str, Any]:
    regressions: dict[str, Any] = json.loads((project / INPUTS / "regressions.json").read_text())
    return regressions


def test_hybrid_starts_from_the_selected_dpo_policy(project: Path) -> None:
    weights = "adapter_model.safetensors"
    start = (project / INPUTS / "policy" / weights).read_bytes()
    assert start == (project / "artifacts/policies/dpo/seed-0" / weights).read_bytes()
    lock = YAML(typ="safe").load((project / "dvc.lock").read_text())["stages"]
    read = {dep["path"] for dep in lock["optimize_policy@hybrid-0"]["deps"]}
    assert "artifacts/inputs/hybrid" in read and "artifacts/inputs/ppo" not in read


def test_the_prompts_are_those_of_the_categories_that_regressed(project: Path, found: dict[str, Any]) -> None:
    regressed = {row["category"] for row in found["categories"] if row["regressed"]}
    prompts = read_records(project / "artifacts/data/prompts/train.jsonl")
    trained = read_records(project / INPUTS / "prompts.jsonl")
    assert trained and trained == [row for row in prompts if row["category"] in regressed]
    assert found["prompts_trained"] == len(trained)
    assert {row["category"] for row in prompts} == {row["category"] for row in found["categories"]}


def test_the_first_step_is_where_it_starts_and_the_report_says_what_became_of_it(
    project: Path, found: dict[str, Any]
) -> None:
    history = read_records(project / "reports/training/hybrid/seed-0.jsonl")
    assert history[0] == {"prompts": found["prompts_trained"], "step": 1}
    scored = json.loads((project / "reports/checkpoints/hybrid/seed-0.json").read_text())
    assert [point["step"] for point in scored["points"]][:2] == [0, 1]
    assert scored["last_step"] == history[-1]["step"] == 3
    assert scored["repair"] == found
    verified = json.loads((project / "reports/comparison.json").read_text())["repair"]["seed-0"]
    assert {(row["category"], row["trained_on"]) for row in verified} == {
        (row["category"], row["regressed"]) for row in found["categories"]
    }
    evaluated = [row["category"] for row in read_records(project / "reports/policies/sft/samples.jsonl")]
    assert all(row["prompts"] == evaluated.count(row["category"]) for row in verified)
