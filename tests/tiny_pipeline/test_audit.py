"""The audit of a real run: from a checkpoint to the raw rows and back, and what it says when something was touched."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from ruamel.yaml import YAML

from pipeline.data.records import read_records
from pipeline.lineage.__main__ import main
from pipeline.report.state import PAGE
from tests.tiny_pipeline.conftest import dvc
from tests.tiny_project import edit_params

PPO = "artifacts/training/ppo/seed-0"


class Answer(NamedTuple):
    """What a command wrote and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def audit(project: Path, *arguments: str) -> Answer:
    """The command in this process: its libraries take longer to import than it takes to answer."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(project),
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(sys, "argv", ["audit", "audit", *arguments])
        patch.setattr(os, "environ", os.environ.copy())
        main()
    code = ended.value.code
    return Answer(
        code if isinstance(code, int) else 1, out.getvalue(), err.getvalue() + (code if isinstance(code, str) else "")
    )


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    """The project with git and the DVC cache, but without MLflow."""
    shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns("mlflow.db", "runs", "tmp"))
    return tmp_path / "copy"


def test_the_tree_of_a_checkpoint_ends_at_the_raw_data(project: Path) -> None:
    result = audit(project, "--json", "artifacts/training/dpo/seed-0")
    assert result.returncode == 0, result.stderr
    tree = json.loads(result.stdout)
    lock = YAML(typ="safe").load((project / "dvc.lock").read_text())["stages"]
    leaves, stages, todo = set(), {}, [tree]
    while todo:
        node = todo.pop()
        if node["stage"] is None:
            leaves.add(node["path"])
            continue
        stages[node["stage"]["name"]] = node["stage"]
        assert node["stage"]["outputs"] == {out["path"]: out["md5"] for out in lock[node["stage"]["name"]]["outs"]}
        assert len(node["runs"]) >= 1 and node["runs"][0]["versions"]["torch"], node["path"]
        todo += node["inputs"]
    assert leaves == {
        "data/raw", "data/labels", "data/models", "pipeline/judges/prompts", "requirements-embedded.txt",
    }  # fmt: skip
    assert {"optimize_policy@dpo-0", "score_reference", "train_sft", "prepare_data", "fetch_models"} <= set(stages)
    assert "optimize_policy@ppo-0" not in stages and "train_reward" not in stages
    assert stages["optimize_policy@dpo-0"]["params"]["optimize.dpo.beta"] == 0.1


def test_the_text_shows_stage_run_and_rows(project: Path) -> None:
    text = audit(project, "reports/policies/dpo/seed-0/metrics.json").stdout
    today = datetime.now(UTC).strftime("run: %Y-")
    for words in ("<- evaluate_policy@dpo-0", "<- optimize_policy@dpo-0", "FINISHED", "rows", "[source]", today):
        assert words in text
    assert "main: optimize.dpo.beta = 0.1" in text and max(map(len, text.splitlines())) <= 120
    full = audit(project, "--full", "artifacts/sft").stdout
    assert "train_sft.learning_rate" in full and "pipeline/training/sft.py" in full


def test_an_untouched_project_verifies(project: Path) -> None:
    result = audit(project, "--verify", "--runs", "reports/comparison.json")
    assert result.returncode == 0, result.stdout
    assert " stages are as their runs in MLflow say" in result.stdout


def commit(project: Path) -> None:
    for command in (
        ["git", "add", ".dvc", "dvc.yaml", "dvc.lock", "params.yaml", "pipeline", "stages"],
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "a version"],
    ):
        subprocess.run(command, cwd=project, check=True)


def edit_row(project: Path) -> None:
    path = project / "artifacts/data/prompts/train.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace("review", "REVIEW")
    path.unlink()  # it may be a link into the cache
    path.write_text("\n".join(lines) + "\n")


def swap_checkpoint(project: Path) -> None:
    target = project / "artifacts/training/ppo/seed-0/adapter_model.safetensors"
    target.unlink()
    shutil.copy(project / "artifacts/training/dpo/seed-0/adapter_model.safetensors", target)


def edit_parameter(project: Path) -> None:
    edit_params(project, {"train_sft.learning_rate": 0.5})


def edit_code(project: Path) -> None:
    path = project / "pipeline/training/sft.py"
    path.write_text(path.read_text() + "\n# edited\n")


def edit_raw_data(project: Path) -> None:
    path = project / "data/raw/reviews.csv"
    path.write_text(path.read_text() + "one more review of the film,1\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit_row, "artifacts/data/prompts/train.jsonl: changed from line 3 on (1 lines differ)"),
        (swap_checkpoint, f"{PPO}/adapter_model.safetensors: changed (written by optimize_policy@ppo-0)"),
        (edit_parameter, "params.yaml, train_sft.learning_rate: 0.5 now, 0.0005 when train_sft ran"),
        (edit_code, "pipeline/training/sft.py: changed since train_sft ran with it"),
        (edit_raw_data, "data/raw/reviews.csv: another content"),
    ],
    ids=["edited row", "swapped checkpoint", "edited parameter", "edited code", "edited raw data"],
)
def test_a_break_is_named(copy: Path, change: Callable[[Path], None], message: str) -> None:
    change(copy)
    result = audit(copy, "--verify", "artifacts/training/ppo/seed-0")
    assert result.returncode == 1
    (line,) = result.stdout.splitlines()
    assert message in line


def test_a_parameter_that_was_changed_everywhere_but_in_its_run_is_named(project: Path, copy: Path) -> None:
    shutil.copy(project / "mlflow.db", copy)
    yaml = YAML(typ="safe")
    lock = yaml.load((copy / "dvc.lock").read_text())
    lock["stages"]["optimize_policy@dpo-0"]["params"]["params.yaml"]["optimize.dpo"]["beta"] = 0.3
    yaml.dump(lock, copy / "dvc.lock")
    edit_params(copy, {"optimize.dpo.beta": 0.3})
    result = audit(copy, "--verify", "artifacts/training/dpo/seed-0")
    assert result.returncode == 1
    (line,) = result.stdout.splitlines()
    assert line.startswith("optimize_policy@dpo-0: ") and "beta is 0.3 in dvc.lock and 0.1 in the run" in line


def test_a_record_is_followed_to_every_checkpoint(project: Path) -> None:
    trained = read_records(project / "artifacts/data/texts/train.jsonl")[0]["id"]
    trace = json.loads(audit(project, "--json", "--record", trained).stdout)
    assert list(trace["files"]) == ["artifacts/data/texts/train.jsonl"]
    assert trace["checkpoints"]["artifacts/sft"] == {"trained on": ["train_sft"]}
    assert list(trace["checkpoints"][PPO]) == ["downstream of"]
    (origin,) = trace["origins"]
    assert origin["fate"] == "used.sft" and origin["source"] == "data/raw/reviews.csv"
    assert origin["text"].startswith(trace["texts"]["prompt"]), "the raw row itself"
    evaluated = read_records(project / "reports/policies/sft/samples.jsonl")[0]["id"]
    trace = json.loads(audit(project, "--json", "--record", evaluated).stdout)
    assert all(list(roles) == ["measured on"] for roles in trace["checkpoints"].values())
    assert {"artifacts/sft", "artifacts/policies/dpo/seed-0"} <= set(trace["checkpoints"])


def test_a_pair_leads_to_the_raw_row_of_its_prompt(project: Path) -> None:
    pair = read_records(project / "artifacts/preferences/accepted/train.jsonl")[0]
    trace = json.loads(audit(project, "--json", "--record", pair["id"]).stdout)
    assert {"artifacts/preferences/accepted/train.jsonl", "artifacts/inputs/dpo/pairs.jsonl"} <= set(trace["files"])
    (origin,) = trace["origins"]
    assert origin["text"].startswith(pair["prompt"]) and origin["fate"] == "used.train"
    assert "trained on" in trace["checkpoints"]["artifacts/training/dpo/seed-0"]
    assert "artifacts/sft" not in trace["checkpoints"]


def test_a_sentence_is_found_with_what_became_of_it(project: Path) -> None:
    row = (project / "data/raw/reviews.csv").read_text().splitlines()[7].partition(",")[0]
    text = audit(project, "--find", row.upper()).stdout
    assert "data/raw/reviews.csv row 7" in text, text
    nothing = audit(project, "--find", "no review says this")
    assert nothing.returncode == 1 and nothing.stdout.startswith("0 hits")


def test_a_record_that_was_left_out_says_why(project: Path) -> None:
    fates = read_records(project / "artifacts/data/fates.jsonl")
    unused = next(fate for fate in fates if fate["fate"] == "unused.sft")
    text = audit(project, "--record", unused["id"]).stdout
    assert f"raw row {unused['row']}: unused.sft" in text and "went into nothing" in text
    unknown = audit(project, "--record", "0123456789abcdef")
    assert unknown.returncode == 1 and "audit --find TEXT" in unknown.stderr


def test_another_revision_is_audited_from_git_and_the_cache(copy: Path) -> None:
    commit(copy)
    pair = read_records(copy / "artifacts/preferences/accepted/train.jsonl")[0]["id"]
    edit_params(copy, {"optimize.dpo.beta": 0.7})
    shutil.rmtree(copy / "artifacts")
    (copy / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    tree = audit(copy, "--rev", "HEAD", "artifacts/training/dpo/seed-0")
    assert tree.returncode == 0 and "optimize.dpo.beta = 0.1" in tree.stdout, tree.stderr
    assert "is not here" in tree.stderr, "without a store the audit says so"
    assert audit(copy, "--rev", "HEAD", "--verify", PPO).returncode == 0
    trace = json.loads(audit(copy, "--rev", "HEAD", "--json", "--record", pair).stdout)
    assert trace["origins"][0]["text"] and trace["missing"] == []


def test_a_damaged_store_is_named_and_costs_only_what_was_in_it(copy: Path) -> None:
    (copy / "mlflow.db").write_bytes(b"no database" * 1000)
    result = audit(copy, "artifacts/sft")
    assert result.returncode == 0 and "<- train_sft" in result.stdout
    assert "cannot be read" in result.stderr and "Traceback" not in result.stderr


def test_a_method_that_was_taken_off_the_list_is_part_of_no_lineage(project: Path, copy: Path) -> None:
    trained = read_records(project / "artifacts/data/texts/train.jsonl")[0]["id"]
    edit_params(copy, {"optimize.methods": ["dpo"]})
    assert "optimize_policy@ppo-0" in (copy / "dvc.lock").read_text(), "DVC leaves its entry"
    gone = audit(copy, "artifacts/training/ppo/seed-0")
    assert gone.returncode != 0 and "optimize_policy@ppo-0, which dvc.yaml no longer has" in gone.stderr
    trace = json.loads(audit(copy, "--json", "--record", trained).stdout)
    assert "artifacts/training/dpo/seed-0" in trace["checkpoints"] and PPO not in trace["checkpoints"]


def test_two_versions_are_compared(copy: Path) -> None:
    commit(copy)
    yaml = YAML(typ="safe")
    values = yaml.load((copy / "dvc.lock").read_text())
    stage = values["stages"]["optimize_policy@dpo-0"]
    stage["params"]["params.yaml"]["optimize.dpo"]["beta"] = 0.3
    stage["outs"][0]["md5"] = "0" * 32 + ".dir"
    yaml.dump(values, copy / "dvc.lock")
    text = audit(copy, "--diff", "HEAD", "workspace", "artifacts/training/dpo/seed-0").stdout
    assert "optimize_policy@dpo-0: parameter optimize.dpo.beta: 0.1 -> 0.3" in text
    assert "artifacts/training/dpo/seed-0:" in text and "train_sft" not in text
    assert "no difference" in audit(copy, "--diff", "HEAD", "HEAD", "artifacts/sft").stdout


def test_the_ids_and_the_command_of_the_page_are_those_of_the_audit(project: Path) -> None:
    page = (project / PAGE).read_text()
    ids = re.findall(r'<code class="id">(\w+)</code>', page)
    assert len(ids) == 2
    assert "reviews.csv" in audit(project, "--record", ids[0]).stdout
    (path,) = re.findall(r"<code>python -m pipeline.lineage audit (artifacts/\S+)</code>", page)
    assert "reviews.csv" in audit(project, path).stdout


def test_rows_that_came_and_went_are_counted(copy: Path) -> None:
    commit(copy)
    reviews = copy / "data/raw/reviews.csv"
    lines = reviews.read_text().splitlines()
    added = ["review9001 of the film the story is great and the film is so great again,1"]
    reviews.write_text("\n".join([*lines[:-2], *added]) + "\n")
    assert dvc(copy, "repro", "--single-item", "prepare_data").returncode == 0
    text = audit(copy, "--diff", "HEAD", "workspace", "artifacts/data").stdout
    assert "artifacts/data/fates.jsonl: +1 records" in text and "artifacts/data/fates.jsonl: -2 records" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["artifacts/training/nothing"], "knows no stage that writes it"),
        (["--diff", "nowhere", "workspace"], "git has no dvc.lock at 'nowhere'"),
        ([], "name a PATH"),
    ],
)
def test_wrong_calls_are_explained(project: Path, arguments: list[str], message: str) -> None:
    result = audit(project, *arguments)
    assert result.returncode != 0 and message in result.stderr
