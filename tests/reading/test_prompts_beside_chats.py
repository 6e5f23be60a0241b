"""A prompt beside conversations is part of what they say; where it says something else, neither is guessed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.params.schema import Data, Params
from tests.reading.layouts.reading import preference, read
from tests.tiny_models import changed

USER = {"role": "user", "content": "Why?"}
YES, NO = ({"role": "assistant", "content": text} for text in ("Yes", "No"))
HEAD = "\n\nHuman: Why?\n\nAssistant:"


@pytest.fixture
def data(params: Params) -> Data:
    return changed(params.data, format="auto", source="rows.jsonl")


@pytest.mark.parametrize(
    "prompt",
    ["Why?", " why?\n", "Hello! Why?", "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Why?\n\nAssistant:", ""],
)
def test_a_prompt_beside_conversations_may_be_any_of_what_they_say(prompt: str, data: Data) -> None:
    before = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}, USER]
    _, (entry,) = read([{"prompt": prompt, "chosen": [*before, YES], "rejected": [*before, NO]}], data)
    assert preference(entry)[0].endswith("\n\nHuman: Why?\n\nAssistant:")


@pytest.mark.parametrize(
    "answers",
    [
        {"chosen": [USER, YES], "rejected": [USER, NO]},
        {"response_a": [USER, YES], "response_b": [USER, NO], "winner": "a"},
        {"response": [USER, YES]},
    ],
)
@pytest.mark.parametrize("prompt", ["Where?", "Be kind. Why?", "\n\nHuman: Where?\n\nAssistant:"])
def test_a_prompt_that_says_something_else_than_the_conversations_is_no_prompt(
    prompt: str, answers: dict[str, Any], data: Data
) -> None:
    _, (entry,) = read([{"prompt": prompt, **answers}], data)
    assert (entry.record, entry.reason) == (None, "prompt_is_not_in_the_chat")
    assert repr(prompt)[1:10] in entry.seen and "Why?" in entry.seen
    _, (entry,) = read([{"prompt": prompt, **answers}], changed(data, ignore_columns=["prompt"]))
    assert entry.record and entry.record["prompt"] == HEAD


def test_conversations_with_different_turns_show_them(data: Data) -> None:
    other = [{"role": "user", "content": "Where?"}, NO]
    _, (entry,) = read([{"chosen": [USER, YES], "rejected": other}], data)
    assert (entry.reason, entry.seen) == ("no_shared_turn", "'Why?', 'Where?'")
    _, (entry,) = read([{"prompt": "Why?", "chosen": [USER, YES], "rejected": other}], data)
    assert (entry.reason, entry.seen) == ("no_shared_turn", "'Why?', 'Where?'")


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be kind."}]])
def test_conversations_may_repeat_a_prompt_of_messages(system: list[dict[str, str]], data: Data) -> None:
    for before in ([], [USER], [*system, USER]):
        row = {"prompt": [*system, USER], "chosen": [*before, YES], "rejected": [*before, NO]}
        _, (entry,) = read([row], data)
        assert preference(entry)[1:] == (" Yes", " No") and preference(entry)[0].endswith(HEAD)
    other = {"role": "user", "content": "Where?"}
    _, (entry,) = read([{"prompt": [USER], "chosen": [other, YES], "rejected": [other, NO]}], data)
    assert (entry.reason, entry.seen) == ("response_has_several_turns", "['user', 'assistant']")


@pytest.mark.parametrize("write", [repr, json.dumps])
def test_lists_that_a_table_has_as_texts_are_lists(write: Callable[[Any], str], data: Data) -> None:
    _, (entry,) = read([{"prompt": "Why?", "responses": write(["Yes", "No"]), "scores": write([2, 1])}], data)
    assert preference(entry) == ("Why?", "Yes", "No")
