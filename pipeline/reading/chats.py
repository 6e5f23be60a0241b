"""Conversations as people store them, written out as one text for prompt and response.

By default a conversation becomes the transcript of hh-rlhf (Bai et al. 2022, arXiv:2204.05862): turns that begin with a
blank line and `Human:` or `Assistant:`, the prompt ending with the last `Assistant:`. It is written once, when data is
prepared: SFT, reward model, DPO and PPO all read the same text.
"""

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Any

ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
}
_AS_JSON = ("function", "arguments")
OF_TOOLS = ("tool_calls", "name", "tool_call_id")
"""Further keys of messages that call tools or come from a tool."""
REASONING = ("reasoning_content", "thinking", "reasoning")
"""Keys for what an assistant thought before it answered; which one is read depends on the chat template."""
WRAPPERS = ("messages", "conversations", "conversation")
_NAMES = {"system": "System", "user": "Human", "assistant": "Assistant"}
ASSISTANT_TURN = "\n\nAssistant:"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlist = _SHORT.maxdict = 4


class Unreadable(Exception):
    """A row that cannot be read; the message is the code of the reason, by which dropped rows are counted."""

    def __init__(self, reason: str, *values: Any) -> None:
        super().__init__(reason)
        self.seen = ", ".join(map(_SHORT.repr, values))
        """The values that are the cause, shortened; empty where no single value is."""


@dataclass(frozen=True)
class Message:
    """One turn; the role is system, user, assistant or tool."""

    role: str
    content: str
    calls: str = ""
    """Further keys of a message that calls tools or comes from a tool, as JSON; empty for other messages."""
    reasoning: str = ""
    """What an assistant thought before it answered, by the keys of `REASONING`, as JSON; empty for other messages."""

    @property
    def has_tools(self) -> bool:
        """Whether it calls a tool, or a tool has written it."""
        return self.role == "tool" or bool(self.calls)


def is_chat(value: Any) -> bool:
    """Whether a value is a message or a list of messages, not a text."""
    return isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str))


def read_messages(value: Any) -> list[Message]:
    """Messages of a list, of one alone, or of an object with `messages` or `conversations`.

    A message has `role` and `content`, `from` and `value`, or `role` and `text`. A content may be a list of parts, each
    with its `text` or `value`.

    Raises:
        Unreadable: no message, an unknown role, a part that is no text, or turns out of order.
    """
    if value is None:
        raise Unreadable("empty_text", value)
    if isinstance(value, Mapping) and not ("role" in value or "from" in value):
        wrapped = [value[key] for key in WRAPPERS if key in value]
        if wrapped and not any(wrapped):
            raise Unreadable("no_messages", value)
        value = next((one for one in wrapped if one), value)
    entries = [value] if isinstance(value, Mapping) else value
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise _no_messages(value)
    messages = [_read_message(entry) for entry in entries]
    spoken = messages[1:] if messages[0].role == "system" else messages
    if any(message.role == "system" for message in spoken) or any(
        a.role == b.role != "tool" or (b.role == "tool" and not a.has_tools) for a, b in pairwise(spoken)
    ):
        raise Unreadable("roles_out_of_order", [message.role for message in messages])
    return messages


def _no_messages(value: Any) -> Unreadable:
    """What is there in place of messages, as a reason."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return Unreadable("empty_text", value)
    if isinstance(value, str):
        return Unreadable("text_instead_of_messages", value)
    return Unreadable("no_messages" if isinstance(value, Sequence) else "text_is_no_string", value)


def _read_message(entry: Any) -> Message:
    if not isinstance(entry, Mapping):
        raise Unreadable("message_malformed", entry)
    named = entry.get("role") or entry.get("from")
    if named is None:
        raise Unreadable("message_without_role", entry)
    role = ROLES.get(str(named).casefold())
    content = next((entry[key] for key in ("content", "value", "text") if entry.get(key) is not None), None)
    if role is None:
        raise Unreadable("unknown_role", named)
    if entry.get("function_call"):
        raise Unreadable("tools_are_not_read", {"function_call": entry["function_call"]})
    thoughts = {key: entry[key] for key in REASONING if role == "assistant" and entry.get(key)}
    reasoning = json.dumps(thoughts, sort_keys=True, ensure_ascii=False) if thoughts else ""
    if any(not isinstance(one, str) for one in thoughts.values()):
        raise Unreadable("content_is_no_text", thoughts)
    if role != "tool" and not entry.get("tool_calls"):
        return Message(role, _content(content), reasoning=reasoning)
    calls = {key: _read_json(entry[key]) for key in OF_TOOLS if entry.get(key)}
    return Message(role, _content("" if content is None else content), json.dumps(calls, sort_keys=True), reasoning)


def _read_json(value: Any) -> Any:
    """Arguments of calls are objects to chat templates; many store their JSON."""
    if isinstance(value, Mapping):
        return {key: _read_json(inner) if key in _AS_JSON else inner for key, inner in value.items()}
    if isinstance(value, list):
        return [_read_json(inner) for inner in value]
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _content(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(part, Mapping) for part in value):
        texts = [part.get("text") if part.get("text") is not None else part.get("value") for part in value]
        if all(isinstance(text, str) for text in texts):
            return "".join(str(text) for text in texts)
    raise Unreadable("empty_content" if value is None else "content_is_no_text", value)


def refuse_different_turns(*conversations: Sequence[Message]) -> None:
    """Raise Unreadable, with the first turns that differ, for turns before a response that are not the same."""
    for other in conversations[1:]:
        for one, two in zip_longest(conversations[0], other):
            if one != two:
                raise Unreadable("no_shared_turn", one and one.content, two and two.content)


def render_prompt(messages: Sequence[Message]) -> str:
    """The transcript before the response.

    Raises:
        Unreadable: the last turn is not the user's.
    """
    if not messages or messages[-1].role != "user":
        raise Unreadable("prompt_does_not_end_with_the_user", *(message.role for message in messages[-1:]))
    return "".join(f"\n\n{_NAMES[message.role]}: {message.content}" for message in messages) + ASSISTANT_TURN


def render_response(message: Message) -> str:
    """What follows the prompt, with the space that belongs to it.

    Raises:
        Unreadable: it is not the assistant's.
    """
    if message.role != "assistant":
        raise Unreadable("response_is_not_the_assistants", message.role)
    return f" {message.content}"


_SPEAKER = re.compile(r"\n\n(System|Human|Assistant):[ \n]?")


def read_transcript(prompt: str) -> list[Message] | None:
    """The turns of a transcript of hh-rlhf that ends where the assistant is to answer; None of another text."""
    before, *parts = _SPEAKER.split(prompt)
    names, contents = parts[::2], parts[1::2]
    if before.strip() or len(names) < 2 or names[-1] != "Assistant" or contents[-1].strip():
        return None
    roles = {name: role for role, name in _NAMES.items()}
    return [Message(roles[name], content) for name, content in zip(names[:-1], contents[:-1], strict=True)]
