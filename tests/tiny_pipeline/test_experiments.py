"""Experiments as people of DVC run and compare them: a dozen numbers, curves over each other, nothing trained twice."""

import csv
import json
import shutil
import subprocess
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.params.loading import load_params
from pipeline.project.graph import stages_before
from pipeline.project.parallel import run_side_by_side
from tests.tiny_pipeline.conftest import environment_of_stages, run
from tests.tiny_project import edit_params

RATE = "optimize.hybrid.learning_rate"
"""Decides the last of the policies, and so the fewest stages."""
GIT = ("git", "-c", "user.name=ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")


def ok(root: Path, *command: str) -> str:
    result = run(root, *command)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


def names_of(values: Mapping[str, Any], above: str = "") -> set[str]:
    """Keys of nested numbers, with dots between."""
    found: set[str] = set()
    for key, value in values.items():
        found |= names_of(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}"}
    return found


@pytest.mark.slow(
    beside="tests/test_versioning.py::test_an_experiment_outside_the_workspace_sees_what_git_and_dvc_know"
)
def test_variants_are_compared_by_a_dozen_numbers_and_by_curves(project: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(project, root, symlinks=True)
    ok(root, *GIT, "add", "-A")
    ok(root, *GIT, "commit", "-q", "-m", "first")
    before = (root / "reports/headline.json").read_text()
    usual = load_params(root / "params.yaml").optimize.hybrid.learning_rate
    trained = ok(root, "dvc", "exp", "run", "-n", "bolder", "-S", f"{RATE}=0.01")
    assert trained.count("Running stage 'optimize_policy@hybrid-0'") == 1 and "Running stage 'train_sft'" not in trained
    headline = json.loads((root / "reports/headline.json").read_text())
    numbers = names_of(headline)
    assert len(numbers) == 4 + 3 * len(["dpo", "hybrid", "ppo"]) and headline != json.loads(before)

    (shown, *rows) = csv.reader(StringIO(ok(root, "dvc", "exp", "show", "--only-changed", "--csv")))
    assert {"hybrid.kl_nats_per_sequence", RATE} <= set(shown) and len(shown) < 40, shown
    assert "bolder" in {cell for row in rows for cell in row}
    assert {*json.loads(ok(root, "dvc", "metrics", "diff", "--json"))} == {"reports/headline.json"}

    drawn = json.loads(ok(root, "dvc", "plots", "diff", "HEAD", "--json"))["data"]
    curves = {name: {rev for part in parts for rev in part["revisions"]} for name, parts in drawn.items()}
    assert len(curves) == 8 and all({"HEAD", "workspace"} <= revs for revs in curves.values())

    # back and forth: what was trained once is taken from the cache of runs
    again = ok(root, "dvc", "exp", "run", "-n", "back", "-S", f"{RATE}={usual}")
    # whole models are merged again: they are in no cache
    assert again.count("Running stage") == again.count("Running stage 'publish_models'") <= 1
    assert (root / "reports/headline.json").read_text() == before
    ok(root, "dvc", "exp", "branch", "bolder", "bolder-branch")
    assert "bolder-branch" in ok(root, "git", "branch")
    assert RATE in ok(root, "dvc", "exp", "diff", "bolder", "back")


@pytest.mark.slow(
    beside="tests/test_versioning.py::test_an_experiment_outside_the_workspace_sees_what_git_and_dvc_know"
)
def test_queued_variants_run_one_after_the_other(project: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(project, root, symlinks=True)
    ok(root, *GIT, "add", "-A")
    ok(root, *GIT, "commit", "-q", "-m", "first")
    for count in (2, 3):
        ok(root, "dvc", "exp", "run", "--queue", "-n", f"shown-{count}", "-S", f"write_report.samples_shown={count}")
    ok(root, "dvc", "exp", "run", "--run-all")
    assert {"shown-2", "shown-3"} <= set(ok(root, "dvc", "exp", "list", "--name-only").split())


@pytest.mark.slow(
    beside="tests/project/test_parallel.py::test_every_stage_waits_for_what_it_reads_and_others_run_beside_it"
)
def test_stages_side_by_side_leave_a_whole_lock_file(project: Path, tmp_path: Path) -> None:
    """A further seed of each method: trained and selected, two at a time, where one device has one stage at a time."""
    root = tmp_path / "copy"
    shutil.copytree(project, root, symlinks=True)
    edit_params(root, {"optimize.seeds": [0, 1]})
    begun: dict[str, list[str]] = {"0": [], "1": []}

    def start(name: str, device: str) -> "subprocess.Popen[str]":
        begun[device].append(name)
        command = ["dvc", "--wait-for-lock", "repro", "--single-item", "--quiet", name]
        return subprocess.Popen(command, cwd=root, env=environment_of_stages(), text=True)

    graph = stages_before(root)
    new = {name: reads for name, reads in graph.items() if name[-2:] in ("-1", "@1") and "evaluate" not in name}
    run_side_by_side({name: reads & new.keys() for name, reads in new.items()}, ["0", "1"], start)
    assert len(new) == 7 and sorted(begun["0"] + begun["1"]) == sorted(new) and all(begun.values())
    assert "up to date" in ok(root, "dvc", "status", *new)
    before, after = (yaml.safe_load((folder / "dvc.lock").read_text())["stages"].keys() for folder in (project, root))
    assert after == before | new.keys()
