"""Which response a verdict in words names."""

from typing import Any

import pytest

from pipeline.reading.verdicts import read_verdict


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ("A", "a"), ("model_b", "b"), ("(b)", "b"), ("tie (bothbad)", "tie"), ("equal", "tie"), ("Text 9", None),
        ("Text 2, since", "b"), ("Text 1, because text 2 is wrong", "a"), ("Text 2, text 1 is bad", "b"),
        ("Response B, unlike A, is wrong", None), ("Response B - incorrect", None), ("Response A: worse", None),
        ("Response B: short. Response A: long. Winner: A", None), ("Response B: vague. So A wins", None),
        ("Textual", None), ("1", None), ("1.5", None), ("7", None), ("a2", "b"), ("A>>B", "a"), ("b > a", "b"),
        ("A=B", "tie"), ("A>A", None), ("Response 1: 3, Response 2: 5", None), ("Text 1 is worse", None),
        ("right", None), ("left", None), ("true", None), (1, None), (2, None), (0, None), (1.5, None), (3, None),
        (True, None), (None, None), (float("nan"), None),
    ],
)  # fmt: skip
def test_verdicts(value: Any, verdict: str | None) -> None:
    assert read_verdict(value) == verdict
