"""`dvc exp run -S key=value` writes params.yaml anew: it must mean what editing the text means, and look the same."""

import re
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml
from ruamel.yaml import YAML

from pipeline.params.loading import flatten, parse_params
from tests.conftest import ROOT

TEXT = (ROOT / "params.yaml").read_text()
VALUES = flatten(YAML(typ="safe").load(TEXT))


def other(value: Any) -> Any:
    """A value of the same kind that differs."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case list():
            return [*value, "x"]
        case _:
            return f"{value or ''}x"


def as_override(value: Any) -> str:
    """In the grammar of `-S`."""
    match value:
        case bool() | int() | float():
            return str(value).lower()
        case list():
            return f"[{','.join(map(as_override, value))}]"
        case _:
            return f"'{value}'"


def place(dotted: str) -> tuple[int, int]:
    """The lines of TEXT from the key on to behind its value."""
    lines, parents, depth = TEXT.splitlines(), dotted.split("."), 0
    for number, line in enumerate(lines):
        if re.match(rf"{'  ' * depth}{parents[depth]}:", line):
            depth += 1
            if depth == len(parents):
                end = number + 1
                while "".join(lines[end : end + 1]).startswith("  " * (depth - 1) + "- "):
                    end += 1
                return number, end
    raise AssertionError(f"params.yaml has no line for {dotted}")


def by_hand(dotted: str, value: Any) -> str:
    """TEXT with another value, as one edits a file."""
    lines = TEXT.splitlines()
    start, end = place(dotted)
    lines[start:end] = [f"{lines[start].partition(':')[0]}: {as_override(value)}"]
    return "\n".join(lines) + "\n"


def by_dvc(path: Path, *overrides: str) -> str:
    path.write_text(TEXT)
    apply_overrides(path, list(overrides))
    return path.read_text()


def test_writing_nothing_new_changes_no_byte(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    with modify_yaml(path):
        pass
    assert path.read_text() == TEXT


@pytest.mark.parametrize("key", VALUES)
def test_an_edit_of_one_key_changes_that_key_alone(key: str) -> None:
    """No anchor or merge carries it on, which DVC's writer would resolve."""
    edited = flatten(YAML(typ="safe").load(by_hand(key, other(VALUES[key]))))
    new = other(VALUES[key])
    assert edited == VALUES | {key: new}


def test_every_key_can_be_set_and_no_comment_is_lost(tmp_path: Path) -> None:
    overrides = [f"{key}={as_override(other(value))}" for key, value in VALUES.items()]
    written = by_dvc(tmp_path / "params.yaml", *overrides)
    assert flatten(YAML(typ="safe").load(written)) == {key: other(value) for key, value in VALUES.items()}
    assert comments(written) == comments(TEXT)


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.lstrip().startswith("#")]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimize.ppo.kl_coef", 0.2),
        ("optimize.hybrid.total_episodes", 1152),
        ("optimize.seeds", [0, 1, 2]),
        ("sampling.stop_tokens", ["."]),
        ("evaluate_policy.best_of_n", [1, 4]),
        ("data.columns.winner", "winner"),
        ("models.policy.revision", "main"),
    ],
)
def test_one_key_by_dvc_and_by_hand(tmp_path: Path, key: str, value: Any) -> None:
    written = by_dvc(tmp_path / "params.yaml", f"{key}={as_override(value)}")
    yaml = YAML(typ="safe")
    assert parse_params(yaml.load(written)) == parse_params(yaml.load(by_hand(key, value)))
    assert parse_params(yaml.load(written)) != parse_params(yaml.load(TEXT))
    start, end = place(key)
    before, after = TEXT.splitlines(), written.splitlines()
    assert after[:start] == before[:start] and after[end - len(before) :] == before[end:], "only the key's lines differ"
