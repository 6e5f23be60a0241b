"""Exports of Label Studio with its `Pairwise` tag: a task with two texts, and which side annotators chose.

The tag gives its own name as `to_name` of a result; which text is left is in the configuration of the project alone.
"""

import re
from collections.abc import Mapping

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import entries, first_of, text
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.rows import Row
from pipeline.reading.written_messages import structure

_PROMPT = ("prompt", "question", "instruction", "query")
_SIDES = {"left": "a", "right": "b"}
_ENDS = re.compile(r"(?P<stem>.*?)[\s_.-]*(?P<end>[12]|[ab]|left|right)", re.IGNORECASE | re.DOTALL)
_ORDERS = ({"1", "2"}, {"a", "b"}, {"left", "right"})


def _choices(row: Row) -> list[Row]:
    """What each annotator chose in the only control, those that were cancelled left out."""
    found = entries(row["annotations"], reason="annotations_malformed")
    results = [
        one
        for annotation in found
        if not annotation.get("was_cancelled")
        for one in entries(annotation.get("result") or [], reason="annotations_malformed")
        if one.get("type") == "pairwise"
    ]
    if not results:
        raise Unreadable("no_winner", found)
    controls = list(dict.fromkeys(one.get("from_name") for one in results))
    if len(controls) > 1:
        raise Unreadable("several_questions", controls)
    return results


def _named(choice: Row, data: Row) -> tuple[str, str] | None:
    """Left and right where the result names both objects as the task does: `toName` has the left one first."""
    named = str(choice.get("to_name") or "").split(",")
    names = [name.strip().removeprefix("$") for name in named]
    return (names[0], names[1]) if len(set(names)) == 2 == len(names) and set(names) <= set(data) else None


def _by_ends(data: Row) -> tuple[str, str] | None:
    """The only two keys that differ in an end that says the order, as `text1` and `text2`."""
    found = {name: match for name in data if name not in _PROMPT and (match := _ENDS.fullmatch(name))}
    pairs = [
        (one, other)
        for one, first in found.items()
        for other, second in found.items()
        if first["stem"] == second["stem"] and first["end"].casefold() < second["end"].casefold()
        if {first["end"].casefold(), second["end"].casefold()} in _ORDERS
    ]
    return pairs[0] if len(pairs) == 1 else None


def _sides(choices: list[Row], data: Row) -> tuple[str, str]:
    found = {_named(choice, data) or _by_ends(data) for choice in choices}
    sides = found.pop() if len(found) == 1 else None
    if sides is None:
        raise Unreadable("left_and_right_unclear", list(data))
    return sides


def _vote(choice: Row, sides: tuple[str, str]) -> str:
    value = choice.get("value")
    selected = value.get("selected") if isinstance(value, Mapping) else None
    if isinstance(selected, list) and len(selected) == 1:
        selected = selected[0]
    known = {**dict(zip(sides, "ab", strict=True)), **_SIDES}
    if not isinstance(selected, str) or selected not in known:
        raise Unreadable("not_in_the_coding", value)
    return known[selected]


def _convert(row: Row) -> Converted:
    data = structure(row["data"])
    if not isinstance(data, Mapping):
        raise Unreadable("data_malformed", row["data"])
    choices = _choices(row)
    sides = _sides(choices, data)
    prompt = first_of(data, *(name for name in _PROMPT if name not in sides))
    if prompt is None:
        raise Unreadable("no_prompt", list(data))
    votes = {f"winner.{number}": _vote(choice, sides) for number, choice in enumerate(choices)}
    return [{"prompt": prompt, "response_a": text(data[sides[0]]), "response_b": text(data[sides[1]]), **votes}]


LABEL_STUDIO = Layout(
    name="label_studio_pairwise",
    origin="labelstud.io/tags/pairwise.html, `toName`; labelstud.io/templates/pairwise_comparison, configuration; "
    "github.com/HumanSignal/label-studio-frontend, src/tags/control/Pairwise.js and examples/pairwise; "
    "github.com/modelscope/data-juicer, data_juicer/ops/mapper/annotation/human_preference_annotation_mapper.py",
    form="comparisons",
    needs=(("data",), ("annotations",)),
    coding="`selected` of each result of the type `pairwise` is a vote. `left` is the first name of `toName` in the "
    "labelling configuration, which an export does not hold: it is taken for the first of the only two keys of `data` "
    "that differ in 1 and 2, a and b, or left and right, as in Label Studio's templates, or for the first of `to_name` "
    "where a result has both names there; rows where neither says it, or with two such controls, are dropped. The "
    "prompt is `prompt`, `question`, `instruction` or `query` of `data`",
    convert=_convert,
)
