"""Reading the reports of all stages: complete, or an error that names the file."""

import pytest

from pipeline.errors import PipelineError
from pipeline.report.inputs import median_run
from tests.report.trained_files import checkpoints, edit_json, load, point, with_metrics, with_policy

FILES = [
    "policies/dpo/seed-0/metrics.json",
    "policies/sft/frontier.json",
    "policies/ppo/seed-0/samples.jsonl",
    "reward_model/metrics.json",
    "reward_model/calibration.json",
    "training/train_sft.jsonl",
    "training/dpo/seed-0.jsonl",
    "checkpoints/dpo/seed-0.json",
    "preferences/summary.json",
    "judge/metrics.json",
]


def test_policies_are_sft_first_then_methods_in_their_order(write_reports):
    inputs = load(write_reports(["ppo", "dpo"]), ["ppo", "dpo"])
    assert list(inputs.policies) == ["sft", "ppo", "dpo"]
    assert inputs.methods == ["ppo", "dpo"]
    assert len(inputs.sft.samples) == 48


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(write_reports, name):
    root = write_reports()
    (root / "reports" / name).unlink()
    with pytest.raises(PipelineError, match=name):
        load(root)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", ["{", "3\n", ""])
def test_a_malformed_file_is_named(write_reports, name, content):
    root = write_reports()
    (root / "reports" / name).write_text(content)
    with pytest.raises(PipelineError, match=name):
        load(root)


def test_a_wrong_value_is_named_with_its_key(write_reports):
    root = write_reports()
    edit_json(root / "reports/policies/dpo/seed-0/metrics.json", judge_score={"mean": 0.7, "low": "?", "high": 0.8})
    with pytest.raises(PipelineError, match=r"dpo/seed-0/metrics\.json: judge_score\.low"):
        load(root)


def test_policies_on_different_prompts_are_refused(write_reports):
    root = write_reports()
    path = root / "reports/policies/ppo/seed-0/samples.jsonl"
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    with pytest.raises(PipelineError, match=r"ppo/seed-0/samples\.jsonl.*same order"):
        load(root)


def test_history_leaves_out_values_that_are_no_finite_numbers(write_reports):
    root = write_reports()
    path = root / "reports/training/ppo/seed-0.jsonl"
    path.write_text('{"step": 1, "score": 0.5, "explained_variance": null, "kl_k1": NaN, "ratio_max": Infinity}\n')
    assert load(root).histories["ppo"] == [{"step": 1.0, "score": 0.5}]


@pytest.mark.parametrize(
    ("scores", "median"),
    [
        ([0.7], 0),
        ([0.7, 0.9, 0.8], 2),
        ([0.9, 0.2, 0.3], 2),
        ([0.9, 0.7, 0.8, 0.6], 1),
        ([0.7, 0.6], 1),
        ([0.5, 0.5], 0),
    ],
)
def test_the_run_with_the_median_score_stands_for_its_method(inputs, scores, median):
    run = inputs.trained["dpo"]
    changed = [
        with_metrics(run, judge_score=run.metrics.judge_score.model_copy(update={"mean": score})) for score in scores
    ]
    assert median_run(changed) is changed[median]


def test_every_seed_is_read_and_the_median_is_shown(write_reports):
    inputs = load(write_reports(seeds=[0, 1, 2]), seeds=[0, 1, 2])
    assert inputs.seeds == [0, 1, 2] and [run.seed for run in inputs.runs["ppo"]] == [0, 1, 2]
    for name in inputs.methods:
        scores = sorted(run.metrics.judge_score.mean for run in inputs.runs[name])
        assert inputs.policies[name].metrics.judge_score.mean == scores[1]
        assert inputs.histories[name] is inputs.trained[name].history
    # a change of one run changes who stands for the method
    best = max(inputs.runs["dpo"], key=lambda run: run.metrics.judge_score.mean)
    worst = best.metrics.judge_score.model_copy(update={"mean": 0.1})
    assert with_policy(inputs, with_metrics(best, judge_score=worst)).trained["dpo"] is not inputs.trained["dpo"]


@pytest.mark.parametrize(
    "points", [[point(1, 0.5, 0.5), point(2, 1, 0.6)], [point(0, 0, 0.5), point(2, 1, 0.6), point(1, 2, 0.7)]]
)
def test_checkpoints_out_of_order_are_refused(write_reports, points):
    root = write_reports()
    edit_json(root / "reports/checkpoints/dpo/seed-0.json", **checkpoints(points))
    with pytest.raises(PipelineError, match=r"dpo/seed-0\.json: points are at steps .*select_checkpoint@dpo-0"):
        load(root)


def test_a_selected_step_that_is_no_checkpoint_is_refused(write_reports):
    root = write_reports()
    edit_json(root / "reports/checkpoints/dpo/seed-0.json", selected_step=7)
    with pytest.raises(PipelineError, match="selected step 7"):
        load(root)


def test_every_checkpoint_has_a_score_for_every_prompt(write_reports):
    root = write_reports()
    points = [point(0, 0, 0.5), point(1, 0.5, 0.5)]
    points[1]["judge_scores"] = points[1]["judge_scores"][1:]
    edit_json(root / "reports/checkpoints/dpo/seed-0.json", **checkpoints(points))
    with pytest.raises(PipelineError, match=r"dpo/seed-0\.json: .*step 1 has scores of \[63, 64\] prompts, not of 64"):
        load(root)
