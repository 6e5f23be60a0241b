"""Lines that fit a terminal."""

import pytest

from pipeline.lineage.lines import fitted, titled, width


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


def test_long_lists_go_on_below_their_title_and_no_name_is_broken() -> None:
    names = [f"artifacts/{number}/some-well-known-method" for number in range(4)]
    lines = titled("trained on it", names, indent=4)
    assert lines[0].startswith("  trained on it: ") and all(line.startswith("      ") for line in lines[1:])
    assert max(map(len, lines)) <= 56
    assert " ".join(" ".join(lines).split()) == f"trained on it: {', '.join(names)}"


def test_a_name_that_is_wider_than_the_terminal_stays_whole_until_it_is_fitted() -> None:
    lines = titled("in", ["x" * 90])
    assert any("x" * 90 in line for line in lines)
    assert all(len(line) <= 60 for line in fitted(lines)) and any("…" in line for line in fitted(lines))


def test_lines_of_several_lines_are_fitted_one_by_one() -> None:
    assert fitted(["a\nb", "c"]) == ["a", "b", "c"]


def test_a_terminal_of_no_width_has_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "5")
    assert width() == 40
