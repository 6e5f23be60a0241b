"""The workflow for pull requests, step by step as GitHub runs it, on the tiny project and without the service."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.tiny_pipeline.conftest import environment_of_stages
from tests.tiny_pipeline.test_experiments import GIT, ok
from tests.tiny_project import edit_params

_PYTHON = '#!/bin/sh\nexec {python} "$@"\n'


@pytest.fixture
def workspace(project: Path, tmp_path: Path) -> Path:
    """What the checkout and the stored cache leave: a clone with two commits, of which the second changes beta."""
    change = tmp_path / "change"
    shutil.copytree(project, tmp_path / "origin", symlinks=True)
    shutil.copytree(ROOT / ".github", tmp_path / "origin/.github")
    # the configuration is as small as the project already
    (tmp_path / "origin/.github/pull-request.yaml").write_text("write_report: {samples_shown: 2}\n")
    (tmp_path / "origin/Makefile").write_text("setup:\n\tcp -r ../environment .venv\n")
    environment = tmp_path / "environment/bin/python"
    environment.parent.mkdir(parents=True)
    environment.write_text(_PYTHON.format(python=shutil.which("python")))
    environment.chmod(0o755)
    ok(tmp_path / "origin", *GIT, "add", "-A")
    ok(tmp_path / "origin", *GIT, "commit", "-q", "-m", "base")
    edit_params(tmp_path / "origin", {"optimize.dpo.beta": 0.7})
    ok(tmp_path / "origin", *GIT, "commit", "-q", "-a", "-m", "a sharper beta")
    ok(tmp_path, "git", "clone", "-q", "origin", "change")
    shutil.copytree(project / ".dvc/cache", tmp_path / "cache")
    assert not (change / "artifacts/sft").exists()
    return tmp_path


@pytest.mark.slow(beside="tests/compare/test_pull_request.py::test_the_workflow_calls_what_is_there")
def test_the_steps_end_with_a_comment_on_the_changed_method(workspace: Path) -> None:
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/pull-request.yml")
    base = ok(workspace / "change", "git", "rev-parse", "HEAD^").strip()
    # where GitHub sets them for a step and its commands; stages with more variables than others start cold
    summary = workspace / "summary.md"
    further = {"the base beside the change": {"BASE": base}, "compare": {"GITHUB_STEP_SUMMARY": str(summary)}}
    said = {}
    for step in workflow["jobs"]["compare"]["steps"]:
        if "run" in step:
            command = ["bash", "-e", "-c", step["run"]]
            environment = environment_of_stages() | further.get(step["name"], {})
            done = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, check=False)
            said[step["name"]] = done.stdout
            assert done.returncode == 0, step["name"] + done.stdout[-2000:] + done.stderr[-2000:]
    begun = {name: text.count("Running stage") for name, text in said.items()}
    assert begun["reproduce the base"] <= 1, "all but the release is in the cache"
    assert "optimize_policy@dpo-0" in said["reproduce the change"]
    assert "'train_sft'" not in said["reproduce the change"].replace("'train_sft' is cached", "")
    comment = (workspace / "comment.md").read_text()
    assert summary.read_text() == comment
    assert "optimize.dpo.beta" in comment and "0.7" in comment and "judge" in comment.lower()
