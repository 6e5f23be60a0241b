"""Tools that a model may call, and what it calls: whether a chat template has written them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.reading.chats import Message, Unreadable


def refuse_unwritten_tools(text: str, messages: Sequence[Message], tools: Sequence[Any] | None) -> None:
    """Raise Unreadable where a template has left out tools, calls, or what a tool has answered.

    Args:
        text: that it has written of the messages.
        messages: of the chat.
        tools: that the model may call, as JSON schemas; None without any.
    """
    wanted = [_name(tool) for tool in tools or ()]
    for message in messages:
        calls = json.loads(message.calls or "{}").get("tool_calls") or []
        wanted += [_name(call) for call in calls]
        if message.role == "tool":
            wanted.append(message.content.strip())
    for part in wanted:
        if part and part not in text and json.dumps(part)[1:-1] not in text:
            raise Unreadable("template_writes_no_tools", part)


def _name(tool: Any) -> str:
    """The name of a function, or of a tool that has one inside."""
    return next((str(found["name"]) for found in _layers(tool) if found.get("name")), "")


def _layers(tool: Any) -> Iterator[Mapping[str, Any]]:
    for found in (tool.get("function"), tool) if isinstance(tool, Mapping) else ():
        if isinstance(found, Mapping):
            yield found
