"""`make gc` removes what no tag, branch, working folder or alias in MLflow needs, and nothing else."""

import contextlib
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from pipeline.gc.__main__ import main
from pipeline.tracking.journal import Journal, new_journal_path
from tests.conftest import ROOT
from tests.dvc_here import dvc

RAW = "data/raw/mine.csv"
GRAPH = """
stages:
  prepare_data:
    cmd: >-
      mkdir -p reports/data && cat data/raw/mine.csv > rows.txt && printf
      '{"sources":[{"file":"data/raw/mine.csv","md5":"%s"}]}' $(md5sum < data/raw/mine.csv | cut -d" " -f1)
      > reports/data/sources.json
    deps: [data/raw]
    outs: [rows.txt, reports/data/sources.json]
  train:
    cmd: >-
      mkdir -p model && cat params.yaml rows.txt > model/weights && (echo "# metrics"; cat params.yaml) > metrics.yaml
    params: [beta]
    deps: [rows.txt]
    outs: [model]
    metrics:
    - metrics.yaml:
        cache: false
"""
Collect = Callable[..., str]


def run(root: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def commit(root: Path, tag: str) -> None:
    run(root, "git", "add", "--all")
    run(root, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", tag)
    run(root, "git", "tag", tag)


def build(root: Path, beta: int) -> dict[str, str]:
    """Rows and a model of their own for each beta; returns the hashes of what was made on the way, by path."""
    (root / RAW).unlink(missing_ok=True)
    (root / RAW).write_text(f"rows for {beta}\n")
    (root / "params.yaml").write_text(f"beta: {beta}\n")
    with contextlib.chdir(root), Repo() as repo:
        repo.add(RAW)
        repo.reproduce()
    lock = YAML(typ="safe").load((root / "dvc.lock").read_text())["stages"]
    outs = {out["path"]: out["md5"] for stage in lock.values() for out in stage["outs"]}
    files = {path: hashlib.md5((root / path).read_bytes()).hexdigest() for path in (RAW, "model/weights")}
    return outs | files


def register(root: Path, made: dict[str, str]) -> None:
    """The version that an evaluation of what lies in `root` has in MLflow, as champion."""
    client = mlflow.MlflowClient(f"sqlite:///{root.parent / 'mlflow.db'}")
    experiment = client.create_experiment("tests", artifact_location=(root.parent / "kept").as_uri())
    tags = {"dvc.dep/model": made["model"], "dvc.out/samples.jsonl": "0" * 32}
    mine = client.create_run(experiment, tags=tags).info.run_id
    client.log_artifact(mine, str(root / "dvc.lock"))
    client.create_registered_model("policy")
    client.create_model_version("policy", root.as_uri(), mine, description="beta=3")
    client.set_registered_model_alias("policy", "champion", "1")
    # a store is shared by projects: theirs are no reason to stop
    client.create_registered_model("somebody-elses")
    client.create_model_version("somebody-elses", root.as_uri(), client.create_run(experiment).info.run_id)
    client.set_registered_model_alias("somebody-elses", "champion", "1")


@pytest.fixture(scope="module")
def built(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, dict[str, str]]]:
    """Five states: 1 has a tag, 2 a branch, 3 is the champion, 4 is nothing, 5 lies in the folder."""
    root = tmp_path_factory.mktemp("gc") / "project"
    (root / "data/raw").mkdir(parents=True)
    shutil.copy(empty_store, root.parent / "mlflow.db")
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, root)
    (root / "dvc.yaml").write_text(GRAPH)
    run(root, "git", "init", "--quiet")
    Repo.init(str(root)).close()
    made = {1: build(root, 1)}
    commit(root, "v1")
    made[2] = build(root, 2)
    commit(root, "v2")
    run(root, "git", "branch", "kept")
    run(root, "git", "tag", "--delete", "v2")
    run(root, "git", "checkout", "--quiet", "v1")
    for beta in (3, 4, 5):
        made[beta] = build(root, beta)
        if beta == 3:
            register(root, made[3])
    return root, made


@pytest.fixture
def project(built: tuple[Path, dict[int, dict[str, str]]], tmp_path: Path) -> Path:
    shutil.copytree(built[0], tmp_path / "project", symlinks=True)
    return tmp_path / "project"


@pytest.fixture
def collect(built, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Collect:
    """Runs the command in a project, and returns what it printed."""

    def run_in(root: Path, *arguments: str) -> str:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{built[0].parent / 'mlflow.db'}")
        monkeypatch.setattr(sys, "argv", ["gc", *arguments])
        monkeypatch.chdir(root)
        capsys.readouterr()
        main()
        return capsys.readouterr().out

    return run_in


def place(root: Path, md5: str) -> Path:
    return root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def cached(root: Path) -> set[Path]:
    return {file for file in (root / ".dvc/cache/files/md5").rglob("*") if file.is_file()}


def test_what_would_go_is_told_in_files_and_bytes_and_stays(project: Path, built, collect: Collect) -> None:
    before = cached(project)
    told = collect(project)
    assert cached(project) == before
    assert "champion: version 1 of policy, beta=3" in told and "1 tag" in told and "2 branches" in told
    assert "somebody-elses" not in told
    assert "nothing was removed yet; `make gc FORCE=1` does it" in told
    removed = collect(project, "--force")
    gone = before - cached(project)
    size = sum((built[0] / file.relative_to(project)).stat().st_size for file in gone)
    assert f"would be removed: {len(gone)} files, {size / 1e6:,.1f} MB of" in told
    assert removed.splitlines()[-1].replace("removed:", "would be removed:") in told
    assert "nothing to free" in collect(project, "--force")


def test_only_what_nothing_needs_goes(project: Path, built, collect: Collect) -> None:
    _, made = built
    collect(project, "--force")
    for beta in (1, 2, 3, 5):
        assert [path for path, md5 in made[beta].items() if not place(project, md5).is_file()] == [], beta
    # of state 4 not even the files that git would have kept
    assert [path for path, md5 in made[4].items() if place(project, md5).is_file()] == []


def test_a_tag_comes_back_whole_and_the_cache_of_runs_still_works(project: Path, collect: Collect) -> None:
    collect(project, "--force")
    run(project, "git", "checkout", "--quiet", "--force", "v1")
    dvc(project, "checkout")
    assert (project / RAW).read_text() == "rows for 1\n" and "beta: 1" in (project / "model/weights").read_text()
    (project / "dvc.lock").unlink()
    assert "Running stage" not in dvc(project, "repro")


def test_where_mlflow_does_not_say_what_the_champion_needs_nothing_goes(
    project: Path, built, collect: Collect, tmp_path: Path
) -> None:
    before, kept = cached(project), built[0].parent / "kept"
    kept.rename(tmp_path / "away")
    try:
        with pytest.raises(SystemExit, match=r"dvc\.lock of run .* cannot be read.*nothing is removed"):
            collect(project, "--force")
    finally:
        (tmp_path / "away").rename(kept)
    assert cached(project) == before


def test_while_a_stage_or_an_experiment_runs_nothing_goes(project: Path, collect: Collect) -> None:
    before = cached(project)
    journal = Journal(new_journal_path(project, "train"), name="train")
    with pytest.raises(SystemExit, match="a stage still runs"):
        collect(project, "--force")
    journal.close()
    (project / ".dvc/tmp/exps/standalone/tmpabc").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"an experiment runs in .*tmpabc"):
        collect(project, "--force")
    assert cached(project) == before
