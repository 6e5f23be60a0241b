"""Reading the reports of all stages: complete, or an error that names the file."""

import json
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.report.inputs import load_report_inputs

FILES = [
    "policies/dpo/metrics.json",
    "policies/sft/frontier.json",
    "policies/ppo/samples.jsonl",
    "reward_model/metrics.json",
    "reward_model/calibration.json",
    "training/train_sft.jsonl",
    "training/dpo.jsonl",
    "preferences/summary.json",
    "judge/metrics.json",
]


def test_policies_are_sft_first_then_methods_in_their_order(write_reports):
    inputs = load_report_inputs(write_reports(["ppo", "dpo"]), ["ppo", "dpo"])
    assert list(inputs.policies) == ["sft", "ppo", "dpo"]
    assert inputs.methods == ["ppo", "dpo"]
    assert len(inputs.sft.samples) == 48


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(write_reports, name):
    root = write_reports()
    (root / "reports" / name).unlink()
    with pytest.raises(PipelineError, match=name):
        load_report_inputs(root, ["dpo", "ppo"])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", ["{", "3\n", ""])
def test_a_malformed_file_is_named(write_reports, name, content):
    root = write_reports()
    (root / "reports" / name).write_text(content)
    with pytest.raises(PipelineError, match=name):
        load_report_inputs(root, ["dpo", "ppo"])


def test_a_wrong_value_is_named_with_its_key(write_reports):
    root = write_reports()
    edit_json(root / "reports/policies/dpo/metrics.json", judge_score={"mean": 0.7, "low": "?", "high": 0.8})
    with pytest.raises(PipelineError, match=r"dpo/metrics\.json: judge_score\.low"):
        load_report_inputs(root, ["dpo", "ppo"])


def test_costs_may_be_absent(write_reports):
    assert load_report_inputs(write_reports(costs=False), ["dpo", "ppo"]).costs == {}


def test_policies_on_different_prompts_are_refused(write_reports):
    root = write_reports()
    path = root / "reports/policies/ppo/samples.jsonl"
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    with pytest.raises(PipelineError, match=r"ppo/samples\.jsonl.*same order"):
        load_report_inputs(root, ["dpo", "ppo"])


def test_history_leaves_out_values_that_are_no_finite_numbers(write_reports):
    root = write_reports()
    path = root / "reports/training/ppo.jsonl"
    path.write_text('{"step": 1, "score": 0.5, "explained_variance": null, "kl_k1": NaN, "ratio_max": Infinity}\n')
    assert load_report_inputs(root, ["dpo", "ppo"]).histories["ppo"] == [{"step": 1.0, "score": 0.5}]


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
