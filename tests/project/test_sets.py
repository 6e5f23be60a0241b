"""The fast set and all tests: a slow test has a fast one beside it, and together the sets are everything."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.conftest import ROOT
from tests.sets import FAST


def is_slow(node: ast.AST) -> bool:
    """Whether it is a call of `pytest.mark.slow`."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.slow"


def holds_slow(node: ast.AST) -> bool:
    return any(is_slow(inner) for inner in ast.walk(node))


def in_fast_set(module: ast.Module, name: str) -> bool:
    """Whether a test of a module is in the fast set, with one of its parameters at least."""
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    marks = [node for node in module.body if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node)]
    if name not in functions or any(map(holds_slow, marks)):
        return False
    for decorator in functions[name].decorator_list:
        if is_slow(decorator):
            return False
        lists = [node for node in ast.walk(decorator) if isinstance(node, ast.List | ast.Tuple) and node.elts]
        if any(all(map(holds_slow, found.elts)) for found in lists):
            return False
    return True


def faults(folder: Path) -> Iterator[str]:
    """Marks in the test files of a project that name no test of the fast set."""
    paths = (folder / "tests").rglob("test_*.py")  # the environment beside it holds tests of packages, with marks too
    texts = {str(path.relative_to(folder)): path.read_text() for path in paths}
    files = {path: ast.parse(text) for path, text in texts.items()}
    for path, module in files.items():
        for mark in filter(is_slow, ast.walk(module) if "slow" in texts[path] else ()):
            assert isinstance(mark, ast.Call)
            written = {word.arg: word.value for word in mark.keywords}.get("beside")
            named = str(written.value) if isinstance(written, ast.Constant) else ""
            file, _, name = named.rpartition("::")
            beside = files.get(file or path)
            if beside is None or not in_fast_set(beside, name):
                yield f"{path}:{mark.lineno}: beside={named!r} is no test of the fast set"


def test_every_slow_test_names_a_fast_one_on_its_subject() -> None:
    assert list(faults(ROOT)) == []


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("@pytest.mark.slow(beside='test_fast')\ndef test_a(): ...\ndef test_fast(): ...", False),
        ("@pytest.mark.slow(beside='test_gone')\ndef test_a(): ...", True),
        ("@pytest.mark.slow()\ndef test_a(): ...", True),
        ("@pytest.mark.slow(beside='test_a')\ndef test_a(): ...", True),
        ("@pytest.mark.slow(beside=NAME)\ndef test_a(): ...\ndef test_fast(): ...", True),
        ("S = pytest.mark.slow(beside='test_a')\n@pytest.mark.parametrize('n', [1, 2])\ndef test_a(n): ...", False),
        (
            "@pytest.mark.parametrize('n', [pytest.param(1, marks=pytest.mark.slow(beside='test_a'))])\n"
            "def test_a(n): ...",
            True,
        ),
        ("pytestmark = pytest.mark.slow(beside='test_a')\ndef test_a(): ...", True),
    ],
)
def test_a_mark_without_a_fast_test_is_found(tmp_path: Path, content: str, wrong: bool) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_one.py").write_text(content)
    assert bool(list(faults(tmp_path))) is wrong


def planned(target: str) -> str:
    """The line with which make would start pytest."""
    command = ["make", "--dry-run", "--always-make", target]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    (line,) = [line for line in lines if "pytest" in line]
    return line


def test_the_fast_set_and_all_tests_differ_by_the_mark_alone() -> None:
    assert planned("unit") == f"{planned('unit-all')} -m '{FAST}'"
    assert "-m pytest" in planned("unit-all") and planned("unit-all").count(" -m ") == 1
    assert "make test-all" in (ROOT / ".ci/run").read_text()


def test_the_process_that_hands_out_tests_imports_no_model() -> None:
    """What it imports is waited for before any other process starts."""
    check = "import sys, tests.conftest; sys.exit('torch' in sys.modules or 'pipeline' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("processes", [(), ("--numprocesses", "2")], ids=["one process", "two"])
def test_the_last_line_says_how_many_tests_were_left(tmp_path: Path, processes: tuple[str, ...]) -> None:
    (tmp_path / "conftest.py").write_text("from tests.sets import *\n")
    (tmp_path / "test_two.py").write_text(
        dedent("""
            import pytest

            def test_fast(): ...

            @pytest.mark.slow(beside="test_fast")
            @pytest.mark.parametrize("number", range(3))
            def test_slow(number): ...
        """)
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow(beside): slow\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", *processes]
    # two processes take long to start
    expected = {"not slow": "3 slow tests were left to `make test-all`.", "": "4 passed"}
    for expression in ["not slow"] if processes else expected:
        done = subprocess.run(
            [*command, "-m", expression], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1].startswith(expected[expression]), done.stdout
