"""The comment under a pull request, from the reports of both sides, and the workflow that makes it."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.compare.pull_request import MARK, main
from pipeline.evaluation.statistics import JUDGE_GAIN_RANGE, paired_bootstrap
from pipeline.params.loading import flatten
from pipeline.params.recipes import apply_recipe, read_recipe
from pipeline.params.schema import WriteReport
from pipeline.report.comparison import build_comparison
from pipeline.report.formats import signed
from pipeline.tracking.measured_with import HELD_OUT_TEXTS, JUDGE, REWARD_MODEL, SFT, SFT_SAMPLES
from tests.conftest import ROOT
from tests.report.trained_files import load
from tests.report.written_reports import write_synthetic_reports

DPO = "reports/policies/dpo/seed-0"
MEASURED_WITH = {
    "judge": JUDGE, "sft": SFT, "sft_samples": SFT_SAMPLES, "reward_model": REWARD_MODEL, "texts": HELD_OUT_TEXTS,
}  # fmt: skip
GITHUB = ROOT / ".github"
Comment = Callable[[], str]


def write_side(root: Path, *, beta: float, kind: str = "classifier", **changed: str) -> None:
    """A working folder after `dvc repro`; `changed` are other hashes of what measures."""
    root.mkdir()
    write_synthetic_reports(root, ["dpo", "ppo"], seeds=[0], prompts=48, costs=False)
    report = WriteReport(samples_shown=8, max_kl=10.0, max_perplexity_ratio=1.1, min_distinct_ratio=0.8)
    (root / "reports/comparison.json").write_text(json.dumps(build_comparison(load(root), report).as_json()))
    (root / "params.yaml").write_text(
        f"optimize:\n  dpo:\n    beta: {beta}\n    seed: 0\njudge:\n  kind: {kind}\n"
        "sampling:\n  temperature: 1.0\n  max_new_tokens: 24\n"
    )
    read = [{"path": path, "md5": changed.get(name, "a")} for name, path in MEASURED_WITH.items()]
    evaluations = ("evaluate_policy@dpo-0", "evaluate_policy@ppo-0")
    stages = {name: {"deps": read} for name in evaluations} | {
        "evaluate_sft": {
            "deps": [row for row in read if row["path"] != SFT_SAMPLES],
            "outs": [row for row in read if row["path"] == SFT_SAMPLES],
        }
    }
    YAML(typ="safe").dump({"stages": stages}, root / "dvc.lock")


def edit_samples(root: Path, change: Callable[[int, dict[str, Any]], Any]) -> list[float]:
    """Change DPO's samples, a row at a time; returns their judge scores."""
    file = root / DPO / "samples.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for number, row in enumerate(rows):
        change(number, row)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [row["judge_score"] for row in rows]


@pytest.fixture
def comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Comment:
    """Compares tmp_path/base with tmp_path/change, as the workflow does."""

    def compare() -> str:
        monkeypatch.chdir(tmp_path / "change")
        monkeypatch.setattr(sys, "argv", ["pull_request", "../base", ".", "--output", "../comment.md"])
        main()
        return (tmp_path / "comment.md").read_text()

    return compare


def test_nothing_changed(tmp_path: Path, comment: Comment) -> None:
    for side in ("base", "change"):
        write_side(tmp_path / side, beta=0.1)
    assert comment().splitlines() == [
        MARK,
        "### What this change does to the policies",
        "",
        "Sample by sample the same: sft, dpo seed 0, ppo seed 0.",
    ]


def test_a_change_has_a_paired_interval_and_the_parameter_behind_it(tmp_path: Path, comment: Comment) -> None:
    write_side(tmp_path / "base", beta=0.1)
    write_side(tmp_path / "change", beta=0.05)
    before = edit_samples(tmp_path / "base", lambda *_: None)
    after = edit_samples(
        tmp_path / "change", lambda number, row: row.update(judge_score=row["judge_score"] + 0.01 * (number % 5 + 1))
    )
    text = comment()
    gain = paired_bootstrap(after, before, resamples=2000, seed=0, name="paired_difference", within=JUDGE_GAIN_RANGE)
    mean, low, high = (signed(getattr(gain, key), 3) for key in ("mean", "low", "high"))
    (row,) = (line for line in text.splitlines() if line.startswith("| judge_score"))
    assert row.endswith(f"| **{mean} ({low} to {high}, beyond chance)** |")
    assert "**dpo seed 0**" in text and "**ppo seed 0**" not in text
    assert "Sample by sample the same: sft, ppo seed 0." in text
    assert "| `optimize.dpo.beta` | 0.1 | 0.05 |" in text and "optimize.dpo.seed" not in text


def test_what_cannot_be_paired_is_said(tmp_path: Path, comment: Comment) -> None:
    write_side(tmp_path / "base", beta=0.1)
    write_side(tmp_path / "change", beta=0.1, judge="b")
    edit_samples(tmp_path / "change", lambda _, row: row.update(response=" other"))
    for file in sorted((tmp_path / "change/reports/policies/ppo").rglob("*.json*")):
        file.unlink()
    text = comment()
    assert "were measured with another judge: not comparable by judge_score, win_rate_vs_sft" in text
    (row,) = (line for line in text.splitlines() if line.startswith("| judge_score") and "not comparable" in line)
    assert "beyond chance" not in row
    assert "- only the base has ppo seed 0" in text


@pytest.mark.parametrize(
    ("kind", "changed", "incomparable"),
    [
        ("classifier", {"sft_samples": "b"}, {"win_rate_vs_sft": "another set of SFT samples"}),
        (
            "chat",
            {"sft_samples": "b"},
            dict.fromkeys(("judge_score", "win_rate_vs_sft"), "another set of SFT samples"),
        ),
        ("classifier", {"reward_model": "b"}, {"reward_score": "another reward model"}),
        ("classifier", {"sft": "b"}, dict.fromkeys(("win_rate_vs_sft", "kl_nats_per_sequence"), "another SFT policy")),
        ("classifier", {"texts": "b"}, {"perplexity_held_out": "another set of held-out texts"}),
    ],
)
def test_what_was_measured_otherwise_has_no_difference(
    tmp_path: Path, comment: Comment, kind: str, changed: dict[str, str], incomparable: dict[str, str]
) -> None:
    write_side(tmp_path / "base", beta=0.1, kind=kind)
    write_side(tmp_path / "change", beta=0.1, kind=kind, **changed)
    edit_samples(
        tmp_path / "change",
        lambda _, row: row.update({key: row[key] + 1.0 for key in ("judge_score", "reward_score", "kl_nats")}),
    )
    rows = [line for line in comment().splitlines() if line.startswith("| ")]
    shown = {row.split(" | ")[0].strip("| "): row.split(" | ")[-1].strip("| ") for row in rows}
    paired = ("judge_score", "reward_score", "kl_nats_per_sequence")
    for key in (*paired, "win_rate_vs_sft", "perplexity_held_out"):
        if key in incomparable:
            assert shown[key] == f"not comparable: {incomparable[key]}"
        else:
            assert "not comparable" not in shown[key]
            assert ("beyond chance" in shown[key]) == (key in paired), key


def test_results_beside_the_policies_and_warnings(tmp_path: Path, comment: Comment) -> None:
    for side in ("base", "change"):
        write_side(tmp_path / side, beta=0.1)
    file = tmp_path / "change/reports/comparison.json"
    report = json.loads(file.read_text())
    accuracy, accepted = report["reward_model"]["accuracy"]["mean"], report["preferences"]["accepted"]
    report["reward_model"]["accuracy"] = {"mean": 0.5, "low": 0.4, "high": 0.6}
    report["preferences"]["accepted"] = accepted + 1
    report["flags"] = [*report["flags"], {"subject": "dpo", "code": "high_kl", "message": "far away"}]
    report["flags"].append({"policy": "ppo", "seed": 1, "code": "collapsed", "message": "one text for all"})
    file.write_text(json.dumps(report))
    text = comment()
    assert re.search(
        rf"\| reward model: test pairs right \| {accuracy:.3f} \[.*\] \| 0\.500 \[0\.400, 0\.600\] \|", text
    )
    assert f"| pairs accepted | {accepted} | {accepted + 1} |" in text
    assert "- new: dpo, high_kl: far away" in text and "gone:" not in text
    assert "- new: ppo, seed 1, collapsed: one text for all" in text


def test_a_side_that_was_not_run_is_named(tmp_path: Path, comment: Comment) -> None:
    write_side(tmp_path / "base", beta=0.1)
    (tmp_path / "change").mkdir()
    with pytest.raises(SystemExit, match=r"comparison\.json: missing. Run `dvc repro`"):
        comment()


def test_the_small_configuration_is_valid_and_smaller() -> None:
    default, changes = (ROOT / "params.yaml").read_text(), read_recipe("pull-request", GITHUB)
    values = [flatten(YAML(typ="safe").load(text)) for text in (default, apply_recipe(default, changes))]
    for key in ("optimize.ppo.total_episodes", "train_reward.num_train_epochs", "select_checkpoint.prompts"):
        assert values[1][key] < values[0][key], key
    assert len(values[1]["evaluate_policy.best_of_n"]) < len(values[0]["evaluate_policy.best_of_n"])


def test_the_workflow_calls_what_is_there() -> None:
    workflow = YAML(typ="safe").load(GITHUB / "workflows/pull-request.yml")
    scripts = [step["run"] for step in workflow["jobs"]["compare"]["steps"] if "run" in step]
    scripts.append((GITHUB / "reproduce.sh").read_text())
    for script in scripts:
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0, script
        # values of the pull request reach a shell as variables, never as text of the script
        assert "${{" not in script
    text = "\n".join(scripts)
    assert set(re.findall(r"make (\w+)", text)) == {"setup"}
    modules = re.findall(r"python -m ([\w.]+)", text)
    assert set(modules) == {"pipeline.compare.pull_request", "pipeline.params.recipes"}
    assert all(importlib.util.find_spec(module) for module in modules)
