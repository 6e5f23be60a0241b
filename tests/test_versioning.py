"""Own data and votes under version control: with git, with `dvc add`, in a clone, and in queued experiments."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.params.schema import Params
from pipeline.project.hashing import content_hash
from pipeline.reading.sources import load_sources
from tests.conftest import ROOT
from tests.dvc_here import dvc

GRAPH = """
stages:
  read:
    cmd: cat data/raw/*.csv data/labels/*.jsonl data/models/own/config.json > read.txt
    params: [rounds]
    deps: [data/raw, data/labels, data/models]
    metrics:
    - read.txt:
        cache: false
"""


def run(root: Path, *command: str) -> str:
    if command[0] == "dvc":
        return dvc(root, *command[1:])
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


def save(root: Path) -> None:
    run(root, "git", "add", "--all")
    run(root, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message=a version")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Votes under git, rows and a model under DVC, all of it committed and pushed to a folder."""
    root = tmp_path_factory.mktemp("versioned") / "project"
    for name in ("raw", "labels", "models"):
        (root / "data" / name).mkdir(parents=True)
        shutil.copy(ROOT / "data" / name / "README.md", root / "data" / name)
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, root)
    (root / "data/raw/mine.csv").write_text("prompt,chosen,rejected\na,b,c\n")
    (root / "data/labels/ann.jsonl").write_text('{"winner": "a"}\n')
    (root / "data/models/own").mkdir()
    (root / "data/models/own/config.json").write_text("{}\n")
    (root / "dvc.yaml").write_text(GRAPH)
    (root / "params.yaml").write_text("rounds: 1\n")
    run(root, "git", "init", "--quiet")
    run(root, "dvc", "init", "--quiet")
    run(root, "dvc", "add", "--quiet", "data/raw/mine.csv", "data/models/own")
    run(root, "dvc", "remote", "add", "--default", "--quiet", "store", str(root.parent / "store"))
    run(root, "dvc", "repro", "--quiet")
    save(root)
    run(root, "dvc", "push", "--quiet")
    return root


def test_git_has_the_votes_and_dvc_the_rows(project: Path) -> None:
    tracked = run(project, "git", "ls-files", "data").split()
    assert {"data/labels/ann.jsonl", "data/raw/mine.csv.dvc", "data/models/own.dvc"} <= set(tracked)
    assert not {"data/raw/mine.csv", "data/models/own/config.json"} & set(tracked)


def test_stages_read_and_hash_the_folders_as_before(project: Path) -> None:
    assert "a,b,c" in (project / "read.txt").read_text()
    lock = YAML(typ="safe").load((project / "dvc.lock").read_text())["stages"]["read"]
    assert {dep["path"]: dep["md5"] for dep in lock["deps"]} == {
        path: content_hash(project / path) for path in ("data/raw", "data/labels", "data/models")
    }


@pytest.mark.parametrize("source", ["data/raw", "data/raw/mine*", "data/raw/mine.csv"])
def test_what_dvc_writes_beside_a_file_is_no_data(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(project)
    found = load_sources(params.data.model_copy(update={"source": source}))
    assert [one.name for one in found] == ["data/raw/mine.csv"]


def test_a_clone_pulls_them_and_has_nothing_to_do(project: Path, tmp_path: Path) -> None:
    run(tmp_path, "git", "clone", "--quiet", str(project), "clone")
    run(tmp_path / "clone", "dvc", "pull", "--quiet")
    assert (tmp_path / "clone/data/raw/mine.csv").read_text() == (project / "data/raw/mine.csv").read_text()
    assert "up to date" in run(tmp_path / "clone", "dvc", "status")


def test_an_experiment_outside_the_workspace_sees_what_git_and_dvc_know(project: Path) -> None:
    (project / "data/labels/ben.jsonl").write_text('{"winner": "b"}\n')
    (project / "data/raw/new.csv").write_text("prompt,chosen,rejected\nd,e,f\n")
    run(project, "dvc", "add", "--quiet", "data/raw/new.csv")
    run(project, "git", "add", "data")
    run(project, "dvc", "exp", "run", "--temp", "--name", "apart", "--set-param", "rounds=2")
    experiment = run(project, "git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    read = run(project, "git", "show", f"{next(name for name in experiment if name.endswith('/apart'))}:read.txt")
    assert '"b"' in read and "d,e,f" in read
