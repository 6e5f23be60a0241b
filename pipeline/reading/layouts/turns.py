"""Conversations of a row: what was said before the response, and the response."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from pipeline.reading.chats import Message, Unreadable, read_messages
from pipeline.reading.layouts.cells import text
from pipeline.reading.rows import Row
from pipeline.reading.written_messages import is_conversation, refuse_written_messages, structure, unpack

Turns = list[dict[str, str]]
_TOOLS = ("tools", "functions", "tool_calls", "function_call")
_MEDIA = ("images", "image", "videos", "audios", "objects", "rejected_images")


def refuse_tools(*objects: Any) -> None:
    """Raise Unreadable where a row or a message calls tools or shows pictures: texts alone would say less."""
    for entry in objects:
        if not isinstance(entry, Mapping):
            continue
        if used := {name: entry[name] for name in _TOOLS if structure(entry.get(name))}:
            raise Unreadable("tools_are_not_read", used)
        if used := {name: entry[name] for name in _MEDIA if structure(entry.get(name))}:
            raise Unreadable("media_are_not_read", used)


def turns(value: Any, *, system: Any = None) -> Turns:
    """Messages as they are read, with the system's text before them.

    Raises:
        Unreadable: they are no conversation, use tools, or bring a system text of their own that differs.
    """
    found = structure(value)
    if isinstance(found, Sequence) and not isinstance(found, str):
        refuse_tools(*found)
    elif isinstance(found, Mapping):
        refuse_tools(found)
    messages = read_messages(found)
    if isinstance(system, str) and system.strip():
        if messages[0].role != "system":
            messages = [Message("system", system), *messages]
        elif messages[0].content != system:
            raise Unreadable("two_system_texts", system, messages[0].content)
    return [{"role": message.role, "content": message.content} for message in messages]


def question(value: Any, *, system: Any = None) -> Turns:
    """The turns before the response, of a text or a conversation that ends with the user.

    Raises:
        Unreadable: it ends with someone else.
    """
    found = structure(value)
    if not found or (isinstance(value, str) and not is_conversation(found)):
        if not isinstance(value, str) or not value.strip():
            raise Unreadable("empty_prompt", value)
        refuse_written_messages(value)
        found = [{"role": "user", "content": value}]
    before = turns(found, system=system)
    if before[-1]["role"] != "user":
        raise Unreadable("prompt_does_not_end_with_the_user", before[-1]["role"])
    return before


def answer(value: Any, before: Turns) -> str:
    """The response of a text, a message, or a conversation that repeats what was said before it.

    Raises:
        Unreadable: it is empty, of someone else, or of another conversation.
    """
    found = unpack(value)
    if isinstance(found, str):
        refuse_written_messages(found)
    said = [{"role": "assistant", "content": found}] if isinstance(found, str) else turns(found)
    spoken = [turn for turn in before if turn["role"] != "system"]
    if said[-1]["role"] != "assistant":
        raise Unreadable("response_is_not_the_assistants", said[-1]["role"])
    if said[:-1] not in ([], before, spoken):
        different = zip_longest(said[:-1], before)
        raise Unreadable("no_shared_turn", *next((one, two) for one, two in different if one != two))
    if not said[-1]["content"].strip():
        raise Unreadable("empty_text", value)
    return said[-1]["content"]


def pair(before: Turns, chosen: Any, rejected: Any) -> dict[str, Any]:
    """A preference with a conversation before it."""
    return {"prompt": before, "chosen": answer(chosen, before), "rejected": answer(rejected, before)}


def instruction(row: Row, *names: str) -> Any:
    """The prompt that one of these columns holds, with `input` behind an `instruction`.

    Raises:
        Unreadable: two hold different ones, which may not be guessed together.
    """
    said = {name: row[name] for name in names if row.get(name) not in (None, "", [])}
    texts = list(said.values())
    if said.keys() == {"instruction", "input"} and all(isinstance(one, str) for one in texts):
        return "\n".join(one for one in (said["instruction"], said["input"]) if one.strip())
    if any(one != texts[0] for one in texts[1:]):
        raise Unreadable("two_prompts", said)
    return texts[0] if texts else None


def exchange(prompt: Any, chosen: Any, rejected: Any, *, system: Any = None, earlier: Any = None) -> dict[str, Any]:
    """A preference after a system's text and earlier turns, if there are any; texts alone stay texts.

    Args:
        earlier: pairs of what the user and the assistant said.
    """
    history = _history(earlier)
    alone = not history and not (isinstance(system, str) and system.strip())
    if alone and all(isinstance(one, str) and not is_conversation(one) for one in (prompt, chosen, rejected)):
        return {"prompt": prompt, "chosen": text(chosen), "rejected": text(rejected)}
    before = question(prompt)
    if history:
        before = question([*history, *before])
    return pair(question(before, system=system), chosen, rejected)


def _history(value: Any) -> Turns:
    found = structure(value) or []
    if not isinstance(found, list) or not all(isinstance(one, list) and len(one) == 2 for one in found):
        raise Unreadable("history_malformed", value)
    return [
        {"role": role, "content": words}
        for one in found
        for role, words in zip(("user", "assistant"), one, strict=True)
    ]
