"""Plots: complete, reproducible to the byte, free of dates, for any list of methods."""

import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest

from pipeline.report.palette import policy_looks
from pipeline.report.plots import draw_plots
from pipeline.report.plots_policies import draw_overoptimization
from pipeline.report.plots_training import draw_training, moving_average
from tests.report.trained_files import checkpoints, edit_json, load, point

COMMON = {"overoptimization", "training_sft", "training_reward", "reward_calibration", "preferences"}


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


def test_hybrid_has_the_panels_of_ppo(write_reports, tmp_path):
    inputs = load(write_reports(["hybrid"], prompts=6), ["hybrid"])
    plots = draw_plots(inputs, tmp_path / "plots")
    assert set(plots) == COMMON | {"training_hybrid"}
    assert "Hybrid" in plots["overoptimization"].read_text()
    assert "Clipped share of tokens" in plots["training_hybrid"].read_text()


def test_a_method_that_trained_nothing_says_so():
    texts = [text.get_text() for text in draw_training("hybrid", [{"step": 1.0, "prompts": 0.0}]).texts]
    assert "nothing was trained" in texts


def test_negative_kl_estimates_and_missing_points_are_drawn(write_reports):
    root = write_reports(["dpo"], prompts=6)
    (root / "reports/policies/sft/frontier.json").write_text('{"points": []}')
    points = [point(0, 0, 0.5), point(5, -0.02, 0.6)]
    edit_json(root / "reports/checkpoints/dpo/seed-0.json", **checkpoints(points))
    edit_json(root / "reports/policies/dpo/seed-0/metrics.json", kl_nats_per_sequence=-0.02, kl_interval={
        "mean": -0.02, "low": -0.1, "high": 0.05})  # fmt: skip
    for axes in draw_overoptimization(load(root, ["dpo"])).axes:
        final = next(line for line in axes.lines if line.get_label() == "DPO")
        assert list(final.get_xdata()) == [0.0]
        assert all(np.isfinite(line.get_xydata().astype(float)).all() for line in axes.lines)


def test_kl_is_drawn_at_its_square_root_and_named_in_nats(write_reports):
    root = write_reports(["dpo"], prompts=6)
    (root / "reports/policies/sft/frontier.json").write_text('{"points": []}')
    points = [point(0, 0, 0.5), point(5, 1.0, 0.6), point(9, 4.0, 0.8), point(12, 9.0, 0.7)]
    edit_json(root / "reports/checkpoints/dpo/seed-0.json", **checkpoints(points, selected_step=9))
    gold, proxy = draw_overoptimization(load(root, ["dpo"])).axes
    measured = next(line for line in gold.lines if len(line.get_xdata()) == 4)
    assert list(measured.get_xdata()) == pytest.approx([0, 1, 2, 3])
    assert list(measured.get_ydata()) == pytest.approx([0, 0.1, 0.3, 0.2])
    ticks = {label.get_text(): at for at, label in zip(proxy.get_xticks(), proxy.get_xticklabels(), strict=True)}
    assert ticks["0"] == 0 and ticks["7"] == pytest.approx(7**0.5)
    # both panels mark the judge's peak, at 4 nats, and the selected checkpoint
    for axes in (gold, proxy):
        assert [line for line in axes.lines if list(line.get_xdata()) == pytest.approx([2, 2]) and
                list(line.get_ydata()) == [0, 1]]  # fmt: skip
        (ring,) = [line for line in axes.lines if line.get_markersize() == 11]
        assert list(ring.get_xdata()) == pytest.approx([2])
    # the fit ends where the measured points do
    assert max(max(line.get_xdata()) for line in gold.lines if len(line.get_xdata()) > 20) == pytest.approx(3)


def test_other_seeds_are_faint(write_reports):
    inputs = load(write_reports(["dpo"], prompts=6, seeds=[0, 1, 2]), ["dpo"], [0, 1, 2])
    for axes in draw_overoptimization(inputs).axes:
        lines = [line for line in axes.lines if len(line.get_xdata()) == 5]
        assert sorted(line.get_alpha() for line in lines) == [0.3, 0.3, 0.45]


def test_looks_are_fixed_for_known_policies_and_distinct_for_others():
    looks = policy_looks(["sft", "ppo", "hybrid", "dpo", "rloo"])
    assert looks["dpo"] == policy_looks(["sft", "dpo"])["dpo"]
    assert len({look.colour for look in looks.values()}) == 5
    assert [look.label for look in looks.values()] == ["SFT", "PPO", "Hybrid", "DPO", "RLOO"]


def test_moving_average_worked_by_hand():
    assert moving_average([2.0, 4.0, 9.0, 5.0], 2) == [2.0, 3.0, 6.5, 7.0]
    assert moving_average([2.0, 4.0], 0) == [2.0, 4.0]


def test_the_curve_of_the_validation_set_is_drawn_where_there_is_one_and_named():
    rows = [{"step": float(step), "loss": 1.0 / step, "learning_rate": 0.1, "grad_norm": 1.0} for step in range(1, 9)]
    watched = [{**row, "validation_loss": row["loss"] + 0.1} if row["step"] % 4 == 0 else row for row in rows]
    for history, curves, labels in ((rows, 1, []), (watched, 2, ["train", "validation"])):
        axes = draw_training("train_sft", history).axes[0]
        assert [len(line.get_xdata()) for line in axes.get_lines()] == [8, 2][:curves]
        assert [text.get_text() for text in axes.texts] == labels


@pytest.mark.parametrize("name", ["train_reward", "dpo"])
def test_loss_accuracy_and_margin_have_their_validation_beside_them(name):
    metrics = ("loss", "accuracy", "margin")
    row = {"step": 1.0, **dict.fromkeys(metrics, 0.5), **{f"validation_{metric}": 0.7 for metric in metrics}}
    axes = draw_training(name, [row, {**row, "step": 2.0}]).axes
    beside = [one.get_title() for one in axes if any(text.get_text() == "validation" for text in one.texts)]
    assert [title.split()[0] for title in beside] == ["Loss", "Accuracy", "Margin"]
