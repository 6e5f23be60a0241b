"""A recipe changes its keys alone, says what it changed, and overwrites nothing that git does not have."""

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.errors import PipelineError
from pipeline.params.loading import flatten
from pipeline.params.recipes import DEFAULT, apply_recipe, main, read_recipe, recipe_names
from tests.conftest import ROOT

TEXT = (ROOT / "params.yaml").read_text()
NAMES = [name for name in recipe_names(ROOT / "recipes") if name != DEFAULT]


def recipe(name: str) -> dict[str, object]:
    return read_recipe(name, ROOT / "recipes")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(TEXT)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "x"]):
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *who, *command], check=True, capture_output=True)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["recipes", *arguments])
    main()


@pytest.mark.parametrize("name", NAMES)
def test_its_keys_change_and_no_comment_does(name: str) -> None:
    changed = apply_recipe(TEXT, recipe(name))
    before, after = (flatten(YAML(typ="safe").load(text)) for text in (TEXT, changed))
    assert {key: after[key] for key in recipe(name)} == recipe(name)
    assert {key for key in before if before[key] != after[key]} <= set(recipe(name))
    comments = [[line for line in text.splitlines() if "#" in line] for text in (TEXT, changed)]
    assert comments[0] == comments[1]
    # a file that changes nothing but what differs from params.yaml is one that people read
    unchanged = {key for key in recipe(name) if before[key] == after[key]}
    assert len(unchanged) < len(recipe(name)) and changed != TEXT


@pytest.mark.parametrize("name", NAMES)
def test_the_default_takes_back_what_all_others_change(name: str) -> None:
    assert set(recipe(name)) <= set(recipe(DEFAULT))
    assert apply_recipe(apply_recipe(TEXT, recipe(name)), recipe(DEFAULT)) == TEXT


def test_it_is_listed_taken_and_shown(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch)
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in [*NAMES, DEFAULT])
    run(monkeypatch, "given-dpo", "--source", "data/raw/mine.csv")
    shown = capsys.readouterr().out
    assert "collect_preferences.source" in shown and "sampled -> given" in shown
    assert "-> data/raw/mine.csv" in shown and "make check" in shown
    assert "source: data/raw/mine.csv" in (project / "params.yaml").read_text()


def test_edits_that_git_does_not_have_are_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited = TEXT.replace("seed: 0", "seed: 7", 1)
    (project / "params.yaml").write_text(edited)
    with pytest.raises(SystemExit, match="not in git"):
        run(monkeypatch, "votes")
    assert (project / "params.yaml").read_text() == edited
    run(monkeypatch, "votes", "--force")
    text = (project / "params.yaml").read_text()
    assert "seed: 7" in text and "source: labelled" in text


def test_a_folder_without_git_has_nothing_to_lose_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(TEXT)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    run(monkeypatch, "votes")
    assert "source: labelled" in (tmp_path / "params.yaml").read_text()


def test_what_another_recipe_left_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "given-dpo")
    run(monkeypatch, "votes", "--force")
    assert "kept from before: sampling.max_new_tokens: 128" in capsys.readouterr().out


def test_a_recipe_that_is_not_there_names_those_that_are(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="given-dpo"):
        run(monkeypatch, "given_dpo")
    with pytest.raises(PipelineError, match=r"no key optimize\.dpo\.betta"):
        apply_recipe(TEXT, {"optimize.dpo.betta": 1})
