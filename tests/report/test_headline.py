"""What DVC compares experiments by: a dozen numbers, and curves with a row for each step."""

import csv
from pathlib import Path

import yaml

from pipeline.report.comparison import build_comparison
from pipeline.report.headline import headline, write_curves
from tests.conftest import ROOT
from tests.report.trained_files import load


def test_the_headline_has_the_numbers_of_the_comparison(inputs, write_report_params):
    comparison = build_comparison(inputs, write_report_params)
    found = headline(comparison)
    comparison = comparison.as_json()
    assert set(found) == {"sft", "dpo", "ppo", "reward_model", "preferences", "flags"}
    dpo = comparison["policies"]["dpo"]
    assert found["dpo"] == {
        "judge_score": dpo["judge_score"]["mean"],
        "win_rate_vs_sft": dpo["win_rate_vs_sft"]["mean"],
        "kl_nats_per_sequence": dpo["kl_nats_per_sequence"],
    }
    assert found["sft"] == {"judge_score": comparison["policies"]["sft"]["judge_score"]["mean"]}
    assert found["preferences"] == {"accepted": 543} and found["flags"] == len(comparison["flags"])


def test_every_curve_that_dvc_draws_is_in_the_tables(write_reports, tmp_path: Path):
    inputs = load(write_reports(seeds=(0, 1)))
    write_curves(inputs, tmp_path / "curves")
    tables = {}
    for path in (tmp_path / "curves").iterdir():
        with path.open(newline="") as file:
            tables[path.name] = list(csv.DictReader(file))
    for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]:
        (settings,) = plot.values()
        ((file, column),) = settings["y"].items()
        rows = tables[Path(file).name]
        assert rows and all(row[column] and row[settings["x"]] for row in rows), plot
    loss = [float(row["loss"]) for row in tables["dpo.csv"]]
    assert loss == [row["loss"] for row in inputs.trained["dpo"].history]
    points = [(row["method"], int(row["seed"]), int(row["step"])) for row in tables["checkpoints.csv"]]
    runs = [(name, run) for name, runs in inputs.runs.items() for run in runs]
    assert points == [(name, run.seed, point.step) for name, run in runs for point in run.checkpoints.points]
