"""Conversations of every spelling become the same transcript; what cannot be read says why."""

from typing import Any

import pytest

from pipeline.reading.chats import (
    Message,
    Unreadable,
    read_messages,
    read_transcript,
    render_prompt,
    render_response,
)
from pipeline.reading.styles import Style, split_chats

QUESTION = Message("user", "Why?")
ANSWER = Message("assistant", "Because.")


@pytest.mark.parametrize(
    "value",
    [
        [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}],
        [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}],
        [{"role": "prompter", "text": "Why?"}, {"role": "assistant", "text": "Because."}],
        [
            {"role": "user", "content": [{"type": "text", "text": "Wh"}, {"type": "text", "value": "y?"}]},
            {"role": "assistant", "content": "Because.", "from": None},
        ],
    ],
)
def test_every_spelling_is_read(value: list[dict[str, Any]]) -> None:
    assert read_messages(value) == [QUESTION, ANSWER]


def test_an_object_around_messages_is_opened() -> None:
    assert read_messages({"messages": [{"role": "user", "content": "Why?"}]}) == [QUESTION]
    assert read_messages({"id": 1, "conversations": [{"from": "human", "value": "Why?"}]}) == [QUESTION]


@pytest.mark.parametrize(
    "transcript",
    [
        "\n\nHuman: Why?\n\nAssistant:",
        "\n\nSystem: Be kind.\n\nHuman: Why?\n\nAssistant: So.\n\nHuman: Why?\n\nAssistant:",
    ],
)
def test_a_transcript_is_read_as_it_is_written(transcript: str) -> None:
    turns = read_transcript(transcript)
    assert turns is not None and render_prompt(turns) == transcript


@pytest.mark.parametrize("text", ["Why?", "", "\n\nHuman: Why?", "\n\nHuman: Why?\n\nAssistant: So", "\n\nAssistant:"])
def test_other_texts_are_no_transcripts(text: str) -> None:
    assert read_transcript(text) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "no_messages"),
        ("text", "text_instead_of_messages"),
        (None, "empty_text"),
        (["text"], "message_malformed"),
        ([{"role": "critic", "content": "x"}], "unknown_role"),
        ([{"role": "user"}], "empty_content"),
        ([{"role": "user", "content": 3}], "content_is_no_text"),
        ([{"content": "x"}], "message_without_role"),
        ({"messages": None}, "no_messages"),
        ([{"role": "user", "content": [{"type": "image"}]}], "content_is_no_text"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "roles_out_of_order"),
        ([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}], "roles_out_of_order"),
    ],
)
def test_what_cannot_be_read_says_why(value: Any, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_messages(value)


def test_a_transcript_is_that_of_hh_rlhf() -> None:
    messages = [Message("system", "Be kind."), QUESTION, ANSWER, Message("user", "Really?")]
    expected = "\n\nSystem: Be kind.\n\nHuman: Why?\n\nAssistant: Because.\n\nHuman: Really?\n\nAssistant:"
    assert render_prompt(messages) == expected
    with pytest.raises(Unreadable, match="prompt_does_not_end_with_the_user"):
        render_prompt([QUESTION, ANSWER])


def test_chats_share_all_but_their_last_message() -> None:
    start = [{"role": "user", "content": "Why?"}]
    yes, no = ([*start, {"role": "assistant", "content": text}] for text in ("Yes", "No"))
    assert split_chats(yes, no, Style()) == ("\n\nHuman: Why?\n\nAssistant:", " Yes", " No")
    other = [{"role": "user", "content": "Where?"}, no[-1]]
    with pytest.raises(Unreadable, match="no_shared_turn"):
        split_chats(yes, other, Style())
    with pytest.raises(Unreadable, match="prompt_does_not_end_with_the_user"):
        split_chats([*yes, *start], [*yes, *start], Style())
    with pytest.raises(Unreadable, match="response_is_not_the_assistants"):
        render_response(QUESTION)
