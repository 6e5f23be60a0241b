"""Plots: complete, reproducible to the byte, free of dates, for any list of methods."""

import xml.etree.ElementTree as ElementTree

import matplotlib

from pipeline.report.inputs import load_report_inputs
from pipeline.report.palette import policy_looks
from pipeline.report.plots import draw_plots
from pipeline.report.plots_policies import draw_judge_vs_kl
from pipeline.report.plots_training import moving_average

COMMON = {"reward_vs_kl", "judge_vs_kl", "training_sft", "training_reward", "reward_calibration", "preferences"}


def test_bytes_repeat_whatever_the_users_settings(inputs, drawn_plots, tmp_path):
    first = drawn_plots
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "other", "axes.grid": False}):
        second = draw_plots(inputs, tmp_path / "second")
    assert set(first) == COMMON | {"training_dpo", "training_ppo"}
    for name, path in first.items():
        assert path.name == f"{name}.svg"
        assert path.read_bytes() == second[name].read_bytes()
        assert len(path.read_bytes()) > 5000
        assert b"<dc:date>" not in path.read_bytes()
        ElementTree.parse(path)


def test_methods_of_the_future(write_reports, tmp_path):
    inputs = load_report_inputs(write_reports(["hybrid"], prompts=6), ["hybrid"])
    plots = draw_plots(inputs, tmp_path / "plots")
    assert set(plots) == COMMON | {"training_hybrid"}
    assert "Hybrid" in plots["judge_vs_kl"].read_text()
    assert "Chosen logps change" in plots["training_hybrid"].read_text()


def test_negative_kl_estimates_and_missing_points_are_drawn(write_reports):
    root = write_reports(["dpo"], prompts=6)
    for name in ("sft", "dpo"):
        (root / f"reports/policies/{name}/frontier.json").write_text('{"points": []}')
    metrics = root / "reports/policies/dpo/metrics.json"
    inputs = load_report_inputs(root, ["dpo"])
    low = inputs.policies["dpo"].metrics.model_copy(update={"kl_nats_per_sequence": -0.02})
    metrics.write_text(low.model_dump_json())
    axes = draw_judge_vs_kl(load_report_inputs(root, ["dpo"])).axes[0]
    lines = {line.get_label(): list(line.get_xdata()) for line in axes.lines}
    assert lines["DPO"] == lines["SFT"] == [0.0]


def test_looks_are_fixed_for_known_policies_and_distinct_for_others():
    looks = policy_looks(["sft", "ppo", "hybrid", "dpo", "rloo"])
    assert looks["dpo"] == policy_looks(["sft", "dpo"])["dpo"]
    assert len({look.colour for look in looks.values()}) == 5
    assert [look.label for look in looks.values()] == ["SFT", "PPO", "Hybrid", "DPO", "RLOO"]


def test_moving_average_worked_by_hand():
    assert moving_average([2.0, 4.0, 9.0, 5.0], 2) == [2.0, 3.0, 6.5, 7.0]
    assert moving_average([2.0, 4.0], 0) == [2.0, 4.0]
