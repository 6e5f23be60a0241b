"""Messages that a cell has as a text are read as messages or refused; they are never taken for what somebody said."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.params.schema import Data, Params
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.written_messages import is_conversation, structure, unpack
from tests.reading.layouts.reading import preference, read
from tests.tiny_models import changed

ASKED = {"role": "user", "content": 'It\'s "Why"?\n'}
HEAD = '\n\nHuman: It\'s "Why"?\n\n\nAssistant:'
NUMPY = "[{'role': 'user', 'content': 'Why?'}\n {'role': 'assistant', 'content': 'Yes'}]"
"""Without commas, as NumPy prints an array of objects: what pandas writes of a column that it read from Parquet."""
UNREADABLE = (
    NUMPY,
    f"array({NUMPY}, dtype=object)",
    "[ChatCompletionMessage(content='Yes', role='assistant')]",
    '[{"role": "assistant", "content": "a "quote" in it"}]',
    "[{'role': 'assistant', 'content': 'cut off by the progr",
    "{'content': open('file').read(), 'role': 'assistant'}",
    "[{'content': 'Yes', 'role': 'assistant', 'score': nan}]",
)
TEXTS = (
    "[1] is a note, and {'a': 1} is a mapping",
    '{"from": "Paris", "to": "London"}',
    "{'role': 'admin'}",
    "[INST] Why? [/INST]",
    "He said: [{'role': 'user', 'content': 'Why?'}]",
    "[" * 5000,
)


@pytest.fixture
def data(params: Params) -> Data:
    empty = dict.fromkeys(params.data.columns.model_dump())
    return changed(params.data, format="auto", source="rows.jsonl", columns=empty)


def said(text: str) -> list[dict[str, str]]:
    return [ASKED, {"role": "assistant", "content": text}]


@pytest.mark.parametrize("write", [repr, json.dumps])
@pytest.mark.parametrize("prompt", ["beside", "none"])
def test_messages_of_python_and_json_are_read_as_messages(write: Callable[[Any], str], prompt: str, data: Data) -> None:
    row: dict[str, Any] = {"chosen": write(said("x")), "rejected": write(said("y"))}
    if prompt == "beside":
        row["prompt"] = ASKED["content"]
    form, (entry,) = read([row], data)
    assert form == "preference_pairs" and preference(entry) == (HEAD, " x", " y")


@pytest.mark.parametrize("write", [repr, json.dumps])
def test_so_are_an_object_around_them_and_a_prompt_of_a_layout(write: Callable[[Any], str], data: Data) -> None:
    _, (entry,) = read([{"chosen": write({"messages": said("x")}), "rejected": write({"messages": said("y")})}], data)
    assert preference(entry) == (HEAD, " x", " y")
    pair = {"prompt": write([ASKED]), "response_0": "x", "response_1": "y", "better_response_id": 0}
    form, (entry,) = read([pair], data)
    assert form in LAYOUTS and preference(entry) == (HEAD, " x", " y")
    pair = {"system": "", "prompt": write([ASKED]), "chosen": write(said("x")), "rejected": write(said("y"))}
    _, (entry,) = read([pair], changed(data, format="system_pairs"))
    assert preference(entry) == (HEAD, " x", " y")


@pytest.mark.parametrize("text", UNREADABLE)
@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "chosen": None, "rejected": "No"},
        {"prompt": None, "chosen": "Yes", "rejected": "No"},
        {"chosen": None, "rejected": "No"},
        {"prompt": "Why?", "response_a": None, "response_b": "No", "winner": "a"},
        {"prompt": "Why?", "responses": [None, "No"], "scores": [1, 2]},
        {"prompt": "Why?", "response": None},
        {"prompt": "Why?", "response_0": None, "response_1": "No", "better_response_id": 0},
        {"system": "Be kind.", "prompt": "Why?", "chosen": None, "rejected": "No"},
        {"prompt": None},
        {"text": None},
    ],
    ids=lambda row: "-".join(row),
)
def test_what_python_prints_and_cannot_be_read_is_no_text(row: dict[str, Any], text: str, data: Data) -> None:
    def fill(value: Any) -> Any:
        return [fill(one) for one in value] if isinstance(value, list) else text if value is None else value

    good = {name: "x" if value is None else value for name, value in row.items()}
    if "responses" in row:
        good["responses"] = ["x", "y"]
    _, entries = read([good] * 20 + [{name: fill(value) for name, value in row.items()}], data)
    (entry,) = (one for one in entries if one.rows == (21,))
    assert (entry.record, entry.reason) == (None, "messages_in_no_json")
    assert text[:20] in entry.seen.replace("\\", "")


def test_a_conversation_in_a_column_of_texts_is_refused(data: Data) -> None:
    _, (entry,) = read([{"text": json.dumps(said("x"))}], data)
    assert (entry.record, entry.reason) == (None, "messages_instead_of_text")


@pytest.mark.parametrize("text", TEXTS)
def test_other_texts_with_brackets_are_texts(text: str, data: Data) -> None:
    assert unpack(text) is text and not is_conversation(text)
    _, (entry,) = read([{"prompt": "Why?", "chosen": text, "rejected": "No"}], data)
    assert preference(entry) == ("Why?", text, "No")


def test_nothing_is_run_and_other_lists_are_read() -> None:
    assert structure("['a', 'b']") == ["a", "b"]
    assert structure(" {'a': None, 'b': True}") == {"a": None, "b": True}
    for text in ("[__import__('os')]", "[1] * 9", "{'a'}", "['\\d']"):
        assert structure(text) is text
