"""The documents name tests and parameters that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/algorithms.md").read_text())))
TREE = (ROOT / "docs/architecture.md").read_text().partition("## What is where")[2].split("```")[1]


def test_every_file_of_the_tree_exists() -> None:
    folders = ("pipeline", "stages", "docs", "data", "recipes")
    files = {path.name for folder in folders for path in (ROOT / folder).rglob("*")} | {"params.yaml", "dvc.yaml"}
    named = {Path(name).name for name in re.findall(r"[\w/]+\.(?:py|md|yaml)", TREE)}
    assert len(named) > 50 and named <= files, named - files


def test_every_folder_of_the_pipeline_is_in_the_tree() -> None:
    folders = {path.name for path in (ROOT / "pipeline").iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(re.findall(r"^  (\w+)/ ", TREE, re.MULTILINE))


def test_the_table_names_tests() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part)
def test_every_named_test_exists(file: str, name: str) -> None:
    functions = {node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)}
    assert name in functions


def files_named(text: str) -> set[str]:
    return set(re.findall(r"`((?:[\w-]+/)+[\w-]+\.py)`", text))


def test_one_pair_is_followed_through_fifteen_files_to_the_dpo_loss_and_eight_more_to_the_ppo_reward() -> None:
    to_dpo, to_ppo = (
        files_named((ROOT / "docs/architecture.md").read_text().split(heading)[1].split(end)[0])
        for heading, end in (
            ("## One pair, from the raw row to the DPO loss", "In steps 1 and 2"),
            ("## The same pair, to the PPO reward", "What they call"),
        )
    )
    assert (len(to_dpo), len(to_ppo), to_dpo & to_ppo) == (15, 8, set())


def test_links_between_documents_lead_somewhere() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_headings_that_documents_link_to_exist() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)]*)\)", path.read_text()):
            text = (path.parent / target).read_text() if target else path.read_text()
            headings = re.findall(r"(?m)^#+ (.*)$", text)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{path.name}: {target}#{anchor}"


@pytest.mark.parametrize("file", re.findall(r"`((?:[\w-]+/)*[\w-]+\.py)`", (ROOT / "docs/glossary.md").read_text()))
def test_files_of_the_glossary_exist(file: str) -> None:
    assert any((ROOT / folder / file).is_file() for folder in ("", "pipeline")), file


def test_files_of_the_architecture_and_of_contributing_exist() -> None:
    for name in ("architecture", "contributing"):
        for file in re.findall(r"`((?:[\w-]+/)+[\w-]+\.py)`", (ROOT / f"docs/{name}.md").read_text()):
            assert any((ROOT / folder / file).is_file() for folder in ("", "pipeline")), file
