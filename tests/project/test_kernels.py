"""Whoever changes a kernel finds what it has to compute, and the test that says whether it does."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODULES = sorted((ROOT / "pipeline/kernels").glob("[!_]*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_kernel_names_its_plain_twin_and_has_a_test(module: Path) -> None:
    assert "Plain twin: " in (ast.get_docstring(ast.parse(module.read_text())) or "").replace("\n", " ")
    assert (ROOT / "tests/kernels" / f"test_{module.name}").is_file()
