"""Files, functions and lists of parameters are short enough to be read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

FILE_LINES, FUNCTION_LINES, PARAMETERS = 300, 60, 7
CODE = ("pipeline", "stages", "benchmarks")


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the last line, docstring and comments among them."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """What a caller may give, so neither `self` nor `cls`."""
    told = function.args
    given = [one.arg for one in (*told.posonlyargs, *told.args, *told.kwonlyargs)]
    return len([name for name in given if name not in ("self", "cls")])


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files(*CODE, "tests")}
    assert {path: length for path, length in lengths.items() if length > FILE_LINES} == {}, (
        "Give a part of the file that has a name of its own a module of that name."
    )


def test_no_function_is_longer_than_60_lines() -> None:
    lengths = {
        f"{path.relative_to(ROOT)} {function.name}": lines_of(function)
        for path in files(*CODE, "tests")
        for function in functions(path.read_text())
    }
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES} == {}, (
        "Give a step of the function a name and a function of its own."
    )


def test_no_function_has_more_than_7_parameters() -> None:
    """Tests are asked for more fixtures than that, and nobody calls them."""
    counts = {
        f"{path.relative_to(ROOT)} {function.name}": parameters_of(function)
        for path in files(*CODE)
        for function in functions(path.read_text())
    }
    assert {name: count for name, count in counts.items() if count > PARAMETERS} == {}, (
        "Parameters that belong together are a dataclass or a NamedTuple of their own."
    )


def test_lines_and_parameters_are_counted() -> None:
    source = (
        "class A:\n    def f(self, a, /, b, *c, d=1, **e):\n        # why\n        return a\n\nasync def g(): ...\n"
    )
    method, function = sorted(functions(source), key=lambda one: one.name)
    assert (lines_of(method), parameters_of(method)) == (3, 3)
    assert (lines_of(function), parameters_of(function)) == (1, 0)
