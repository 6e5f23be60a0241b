"""The documents name tests and parameters that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/algorithms.md").read_text())))
TREE = (ROOT / "README.md").read_text().partition("## What is where")[2].split("```")[1]


def test_every_file_of_the_readme_exists() -> None:
    folders = ("pipeline", "stages", "docs", "data", "recipes")
    files = {path.name for folder in folders for path in (ROOT / folder).rglob("*")} | {"params.yaml", "dvc.yaml"}
    named = {Path(name).name for name in re.findall(r"[\w/]+\.(?:py|md|yaml)", TREE)}
    assert len(named) > 50 and named <= files, named - files


def test_every_folder_of_the_pipeline_is_in_the_readme() -> None:
    folders = {path.name for path in (ROOT / "pipeline").iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(re.findall(r"^  (\w+)/ ", TREE, re.MULTILINE))


def test_the_table_names_tests() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part)
def test_every_named_test_exists(file: str, name: str) -> None:
    functions = {node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)}
    assert name in functions
