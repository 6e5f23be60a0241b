"""What people are shown of a long text is cut in one place."""

import ast
from pathlib import Path

import pytest

from pipeline.excerpts import shorten
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("12345678", "12345678"),
        ("123456789", "1234567…"),
        ("a\0b", "a\\0b"),
        ("\ud800", "\\ud800"),
        ("\ud800\ud800", "\\ud800\\…"),
        ("123456789" * 10**6, "1234567…"),
    ],
)
def test_at_most_so_many_characters_that_a_file_can_hold(text: str, shown: str) -> None:
    assert shorten(text, 8) == shown
    assert len(shown.encode()) >= len(shown) and len(shown) <= 8


def test_no_other_module_cuts_a_text_with_a_mark_of_its_own() -> None:
    """Each had its own length and mark, and some broke on lone surrogates."""
    cutting = [path for path in sorted(ROOT.glob("pipeline/**/*.py")) if cuts_with_a_mark(path)]
    assert [path.relative_to(ROOT).as_posix() for path in cutting] == ["pipeline/excerpts.py"]


def cuts_with_a_mark(path: Path) -> bool:
    """Whether an expression that slices up to somewhere also holds an ellipsis."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr | ast.BinOp):
            parts = list(ast.walk(node))
            slices = [part for part in parts if isinstance(part, ast.Slice) and part.lower is None]
            marks = [
                part
                for part in parts
                if (isinstance(part, ast.Constant) and str(part.value).strip() in ("…", "..."))
                or (isinstance(part, ast.Name) and part.id == "_CUT")
            ]
            if slices and marks:
                return True
    return False
