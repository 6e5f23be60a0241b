"""A parameter of dvc.lock beside the text that a run has of it."""

from typing import Any

import pytest

from pipeline.lineage.logged_values import same_value

LONG = [{"name": f"data/raw/{number}", "share": 0.5} for number in range(40)]


@pytest.mark.parametrize(
    ("locked", "told"),
    [
        (5e-06, "5e-06"), (5.0e-6, "0.000005"), (1, "1.0"), (1.0, "1"), ("5e-6", "5e-06"), (None, "None"),
        (True, "True"), (["a", "b"], "['a', 'b']"), ([1, 2.0], "[1.0, 2]"), ("", ""), ("a\nb", "a\nb"),
        ([{"share": 1, "name": "a"}], "[{'name': 'a', 'share': 1.0}]"), ("x" * 900, "x" * 500),
        (LONG, str(LONG)[:500]), ([dict(reversed(one.items())) for one in LONG], str(LONG)[:500]),
        ("Is 'A' better?", "Is 'A' better?"), (float("inf"), "inf"), ([], "[]"),
    ],
)  # fmt: skip
def test_values_that_are_written_in_two_ways_are_the_same(locked: Any, told: str) -> None:
    assert same_value(locked, told)


@pytest.mark.parametrize(
    ("locked", "told"),
    [
        (0.3, "0.1"), (None, "0"), (True, "1"), (True, "False"), ([1, 2], "[2, 1]"), (["a"], "['b']"), ("a", "b"),
        (LONG[1:], str(LONG)[:500]), ("y" + "x" * 900, "x" * 500), ("x" * 400, "x" * 500), (0.1000000001, "0.1"),
        ([True], "[1]"), ("0.10 ", "x"),
    ],
)  # fmt: skip
def test_other_values_are_not(locked: Any, told: str) -> None:
    assert not same_value(locked, told)
