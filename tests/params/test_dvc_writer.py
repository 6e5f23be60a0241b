"""`dvc exp run -S key=value` writes params.yaml anew: it must mean what editing the text means, and look the same."""

import json
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml
from ruamel.yaml import YAML

from pipeline.errors import PipelineError
from pipeline.params.loading import flatten, parse_params
from pipeline.params.recipes import apply_recipe, read_recipe, recipe_names
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
        case None:
            return "null"
        case bool() | int() | float():
            return str(value).lower()
        case list():
            return f"[{','.join(map(as_override, value))}]"
        case dict():
            return "{" + ",".join(f"{key}:{as_override(item)}" for key, item in value.items()) + "}"
        case _:
            return f"'{value}'"


def place(dotted: str, text: str = TEXT) -> tuple[int, int]:
    """The lines of the text from the key on to behind its value."""
    lines, parents, depth = text.splitlines(), dotted.split("."), 0
    for number, line in enumerate(lines):
        if line.startswith(f"{'  ' * depth}{parents[depth]}:"):
            depth += 1
            if depth == len(parents):
                end = number + 1
                while "".join(lines[end : end + 1]).startswith("  " * (depth - 1) + "- "):
                    end += 1
                return number, end
    raise AssertionError(f"params.yaml has no line for {dotted}")


def by_hand(values: Mapping[str, Any], text: str = TEXT) -> str:
    """The text with other values, as one edits a file: JSON is YAML."""
    lines = text.splitlines()
    places = {place(dotted, text): value for dotted, value in values.items()}
    # from below, so that the places above stay right
    for (start, end), value in sorted(places.items(), key=lambda one: one[0], reverse=True):
        lines[start:end] = [f"{lines[start].partition(':')[0]}: {json.dumps(value)}"]
    return "\n".join(lines) + "\n"


def by_dvc(path: Path, values: Mapping[str, Any], text: str = TEXT) -> str:
    path.write_text(text)
    apply_overrides(path, [f"{key}={as_override(value)}" for key, value in values.items()])
    return path.read_text()


def meaning(text: str) -> str:
    """What the text means, with the types: 1, 1.0 and true are equal in Python."""
    return json.dumps(flatten(YAML(typ="safe").load(text)), indent=0)


def test_writing_nothing_new_changes_no_byte(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    with modify_yaml(path):
        pass
    assert path.read_text() == TEXT


@pytest.mark.parametrize("key", VALUES)
def test_an_edit_of_one_key_changes_that_key_alone(key: str) -> None:
    """No anchor or merge carries it on, which DVC's writer would resolve."""
    new = other(VALUES[key])
    assert flatten(YAML(typ="safe").load(by_hand({key: new}))) == VALUES | {key: new}


def test_every_key_can_be_set_and_no_comment_is_lost(tmp_path: Path) -> None:
    values = {key: other(value) for key, value in VALUES.items()}
    written = by_dvc(tmp_path / "params.yaml", values)
    assert flatten(YAML(typ="safe").load(written)) == values
    assert comments(written) == comments(TEXT)


KINDS = {
    "null": None,
    "true": True,
    "whole number": 1,
    "number": 0.5,
    "whole number with a point": 1.0,
    "small number": 1e-07,
    "empty text": "",
    "text like a number": "1e-4",
    "text like a truth value": "on",
    "text like null": "null",
    "text like YAML": "#a: [b",
    "text of another alphabet": "größer als, 日本",
    "empty list": [],
    "list": ["0", 1, None],
    "list of sections": [{"name": "a", "share": 0.5}, {"name": "b", "share": 1}],
}


@pytest.mark.parametrize("value", KINDS.values(), ids=KINDS)
def test_every_key_gets_from_dvc_what_it_gets_by_hand(tmp_path: Path, value: Any) -> None:
    values = dict.fromkeys(VALUES, value)
    assert meaning(by_dvc(tmp_path / "params.yaml", values)) == meaning(by_hand(values))


def test_what_dvc_has_written_it_reads_and_writes_again(tmp_path: Path) -> None:
    """Values of all kinds, those of one kind far from each other."""
    values = dict(zip(VALUES, cycle(KINDS.values()), strict=False))
    written = by_dvc(tmp_path / "params.yaml", values)
    again = by_dvc(tmp_path / "params.yaml", {"seed": 7}, text=written)
    assert meaning(again) == meaning(by_hand({**values, "seed": 7}))


@pytest.mark.parametrize("name", recipe_names(ROOT / "recipes"))
def test_a_recipe_that_was_taken_is_written_by_dvc_as_by_hand(tmp_path: Path, name: str) -> None:
    path = tmp_path / "params.yaml"
    text = apply_recipe(TEXT, read_recipe(name, ROOT / "recipes"))
    path.write_text(text)
    with modify_yaml(path):
        pass
    assert path.read_text() == text
    now = flatten(YAML(typ="safe").load(text))
    # one key: the lines of all others stay
    start, end = place("optimize.dpo.beta", text)
    before, after = text.splitlines(), by_dvc(path, {"optimize.dpo.beta": 0.3}, text).splitlines()
    assert after == [*before[:start], "    beta: 0.3", *before[end:]]
    # all keys, those that the recipe sets among them
    values = {key: other(value) for key, value in now.items()}
    assert meaning(by_dvc(path, values, text)) == meaning(by_hand(values, text))


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
    written = by_dvc(tmp_path / "params.yaml", {key: value})
    yaml = YAML(typ="safe")
    assert parse_params(yaml.load(written)) == parse_params(yaml.load(by_hand({key: value})))
    assert parse_params(yaml.load(written)) != parse_params(yaml.load(TEXT))
    start, end = place(key)
    before, after = TEXT.splitlines(), written.splitlines()
    assert after[:start] == before[:start] and after[end - len(before) :] == before[end:], "only the key's lines differ"


@pytest.mark.parametrize("text", ["better if ${seed} words", "${nothing}", "???"])
@pytest.mark.parametrize("value", [str, lambda text: [text]], ids=["text", "list"])
def test_what_dvc_would_take_for_a_reference_is_refused(text: str, value: Callable[[str], Any]) -> None:
    """`-S seed=7` would write "better if 7 words" into a key that nobody named."""
    values = YAML(typ="safe").load(by_hand({"judge.chat.rubric": value(text)}))
    with pytest.raises(PipelineError, match=r"judge\.chat\.rubric.*no texts to DVC"):
        parse_params(values)


def test_dvc_replaces_such_a_text(tmp_path: Path) -> None:
    written = by_dvc(tmp_path / "params.yaml", {"seed": 7}, by_hand({"judge.chat.rubric": "better if ${seed} words"}))
    assert flatten(YAML(typ="safe").load(written))["judge.chat.rubric"] == "better if 7 words"
