"""What reads YAML: in C, which DVC and every stage wait for, and with the meaning that Python code gives it."""

import platform
import sys
from typing import Any

import pytest
from ruamel.yaml import YAML, main

from tests.conftest import ROOT

SCALARS = (
    "yes", "no", "on", "Off", "y", "true", "TRUE", "~", "", "null", "017", "0o17", "0x1f", "0b11", "1_000", "1e-5",
    "1e5", "+1", ".5", "1.", "12:30", "2001-12-14", ".inf", "-.INF", "nan", ".NaN", "!!str 5", '"\\u00e9"',
    "é", "[1, yes]", "{a: 1e-3}", "|\n  two\n  lines\n", ">-\n  folded\n  line\n",
)  # fmt: skip


def read(text: str, *, pure: bool) -> Any:
    return YAML(typ="safe", pure=pure).load(text)


@pytest.mark.skipif(
    platform.python_implementation() != "CPython" or sys.version_info >= (3, 15), reason="nobody has built it for this"
)
def test_yaml_is_read_in_c() -> None:
    assert main.CParser is not None and YAML(typ="safe").Parser is main.CParser


@pytest.mark.parametrize("value", SCALARS)
def test_a_value_is_the_same_whoever_reads_it(value: str) -> None:
    assert repr(read(f"key: {value}", pure=False)) == repr(read(f"key: {value}", pure=True))


@pytest.mark.parametrize(
    "name", ["params.yaml", "dvc.yaml", *(f"recipes/{path.name}" for path in ROOT.glob("recipes/*.yaml"))]
)
def test_a_file_is_the_same_whoever_reads_it(name: str) -> None:
    text = (ROOT / name).read_text()
    assert repr(read(text, pure=False)) == repr(read(text, pure=True))
