"""The prompt of a row and the responses to it as texts, whatever each is stored as."""

import math
from collections.abc import Sequence
from typing import Any

from pipeline.reading.chats import (
    Message,
    Unreadable,
    is_chat,
    read_messages,
    refuse_different_turns,
)
from pipeline.reading.record import Record
from pipeline.reading.rows import Row
from pipeline.reading.styles import Style
from pipeline.reading.transcripts import split_transcripts
from pipeline.reading.turn_marks import begins_with_turn, read_turns
from pipeline.reading.verdicts import Undeclared
from pipeline.reading.written_messages import refuse_written_messages

_ABSENT = ("", "nan", "none", "n/a")
"""How tables write that there is no context."""


def read_responses(row: Row, style: Style, *responses: Any) -> tuple[str, ...]:
    """The prompt and the responses of a row, of which each may be a text, a message or a conversation.

    Raises:
        Unreadable: with the reason.
    """
    texts = _responses(row, style, *responses)
    if not texts[0].strip():
        raise Unreadable("empty_prompt", texts[0])
    return texts


def _responses(row: Row, style: Style, *responses: Any) -> tuple[str, ...]:
    prompt = row.get("prompt")
    refuse_written_messages(prompt, *responses)
    if prompt is None:  # the conversation holds it
        if "prompt" in row and any(isinstance(response, str) and response.strip() for response in responses):
            raise Unreadable("empty_prompt", prompt)
        turns = [read_messages(response) for response in responses]
        refuse_different_turns(*(messages[:-1] for messages in turns))
        return style.prompt(turns[0][:-1]), *(style.response(messages[-1]) for messages in turns)
    if is_chat(prompt):
        asked = read_messages(prompt)
        return style.prompt(asked), *(style.response(_answer(response, asked)) for response in responses)
    text = _prompt_text(row)
    if whole := _transcripts(text, responses):
        return style.transcript(*whole)
    if responses and all(is_chat(response) for response in responses):
        # a text beside conversations that repeat it, or beside the answers alone
        turns = [read_messages(response) for response in responses]
        heads = [messages[:-1] or read_messages({"role": "user", "content": text}) for messages in turns]
        refuse_different_turns(*heads)
        _refuse_another_prompt(text, heads[0])
        return style.prompt(heads[0]), *(style.response(messages[-1]) for messages in turns)
    refuse_non_texts(*(response for response in responses if not isinstance(response, str)))
    return style.texts(text, *responses)


def _transcripts(prompt: str, responses: Sequence[Any]) -> tuple[str, ...] | None:
    """Two transcripts beside a prompt that is part of them, cut after the last turn that they share.

    Where names mark the turns and the prompt is not in them, they may be what is answered, as a dialogue is.

    Raises:
        Unreadable: tokens mark the turns, and they are no transcripts of the prompt.
    """
    if len(responses) != 2 or not all(isinstance(one, str) and begins_with_turn(one) for one in responses):
        return None
    try:
        whole = split_transcripts(responses[0], responses[1])
        turns, _ = read_turns(whole[0]) or ([], False)
        _refuse_another_prompt(prompt, turns)
    except Unreadable:
        if any(begins_with_turn(one, tokens=True) for one in responses):
            raise
        return None
    return whole


def _refuse_another_prompt(text: str, head: Sequence[Message]) -> None:
    """Raise Unreadable where a prompt beside conversations says what none of their turns before the response does."""
    said = " ".join(_words(message.content) for message in head)
    asked = [_words(message.content) for message in (read_turns(text) or ([], False))[0]]
    repeats = bool(asked) and asked == [_words(message.content) for message in head]
    if not repeats and _words(text) not in said:
        raise Unreadable("prompt_is_not_in_the_chat", text, *(message.content for message in head[:1]))


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()


def refuse_non_texts(*values: Any) -> None:
    """Raise Unreadable for the first value that is no text, or a blank one."""
    for value in values:
        if value is None or (isinstance(value, str) and not value.strip()):
            raise Unreadable("empty_text", value)
        if not isinstance(value, str):
            raise Unreadable("text_is_no_string", value)


def _prompt_text(row: Row) -> str:
    prompt, context = row["prompt"], row.get("context")
    if not isinstance(prompt, str):
        raise Unreadable("text_is_no_string", prompt)
    if isinstance(context, list) and all(isinstance(one, str) for one in context):
        context = "\n\n".join(context)
    if isinstance(context, list | dict):
        raise Unreadable("context_is_no_text", context)
    if isinstance(context, str) and context.strip().casefold() not in _ABSENT:
        return f"{prompt}\n{context}"
    return prompt


def _answer(value: Any, asked: list[Message]) -> Message:
    """The last message of a response, which may repeat the turns that were asked, with or without the system's."""
    messages = read_messages({"role": "assistant", "content": value} if isinstance(value, str) else value)
    if messages[:-1] not in ([], asked, [message for message in asked if message.role != "system"]):
        raise Unreadable("response_has_several_turns", [message.role for message in messages])
    return messages[-1]


def read_prompt(row: Row, style: Style) -> Record:
    """A prompt alone.

    Raises:
        Unreadable: with the reason.
    """
    if row["prompt"] is None:
        raise Unreadable("empty_prompt", None)
    (prompt,) = read_responses(row, style)
    return {"prompt": prompt}


def read_demonstration(row: Row, style: Style) -> Record:
    """A prompt with one response, as for SFT.

    Raises:
        Unreadable: with the reason.
    """
    prompt, response = read_responses(row, style, row["response"])
    return {"prompt": prompt, "response": response}


def read_thumb(row: Row, style: Style) -> tuple[str, str, bool]:
    """Prompt, response, and whether people liked it.

    Raises:
        Unreadable: with the reason.
    """
    label = row["label"]
    refuse_undeclared(label)
    liked = {"0": False, "1": True, "false": False, "true": True}.get(str(label).casefold())
    if liked is None and label in (0, 1):  # 1.0
        liked = bool(label)
    if liked is None:
        raise Unreadable("label_not_0_or_1", label)
    prompt, response = read_responses(row, style, row["response"])
    return prompt, response, liked


def refuse_undeclared(label: Any) -> None:
    """Raise Unreadable for a label that data.label_coding does not have."""
    if isinstance(label, Undeclared):
        raise Unreadable("undeclared_label", label.value)


def read_number(value: Any) -> float:
    """A score as a finite number.

    Raises:
        Unreadable: it is none.
    """
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise Unreadable("score_is_no_number", value) from None
    if not math.isfinite(found):
        raise Unreadable("score_is_no_number", value)
    return found
