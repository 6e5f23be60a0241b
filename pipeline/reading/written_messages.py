"""Messages that a cell or a string holds as a text: JSON, or a list as Python prints it."""

import ast
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.reading.chats import WRAPPERS, Unreadable

_ROLE = re.compile(r"""["'](?:role|from)["']\s*:""")
_CONTENT = re.compile(r"""["'](?:content|value|text|tool_calls|function_call)["']\s*:""")
_OPENING = re.compile(r"""\s*(?:(?:np\.|numpy\.)?array\()?\s*\[?\s*(?:\{\s*["']\w+["']\s*:|\w*Message\(\w+=)""")
"""Beginning of a list or an object, of an array of NumPy, or of objects such as `ChatCompletionMessage(content=`."""
_OBJECT = re.compile(r"\w*Message\(.*\brole=", re.DOTALL)
_SAYS_ROLE = ("role", "from")
_SAYS_CONTENT = ("content", "value", "text", "tool_calls", "function_call")


def structure(value: Any) -> Any:
    """A list or an object, also where a text has it as JSON, or as Python prints it; anything else as it is.

    pandas writes a list into a cell of CSV as Python prints it. Literals alone are read, and nothing is run.
    """
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return _literal(value)


def _literal(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an escape that Python would not print
            found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return found if isinstance(found, list | dict) else text


def is_conversation(value: Any) -> bool:
    """Whether it is a message, messages, or an object around them, also as a text; a text with other JSON is none."""
    found = structure(value)
    if isinstance(found, Mapping) and not any(key in found for key in _SAYS_ROLE):
        found = next((found[key] for key in WRAPPERS if found.get(key)), found)
    messages = [found] if isinstance(found, Mapping) else found
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        return False
    return all(
        isinstance(one, Mapping) and any(key in one for key in _SAYS_ROLE) and any(key in one for key in _SAYS_CONTENT)
        for one in messages
    )


def unpack(value: Any) -> Any:
    """Messages that a text holds, and everything else as it is."""
    found = structure(value)
    return found if found is not value and is_conversation(found) else value


def refuse_written_messages(*values: Any) -> None:
    """Raise Unreadable for messages where a text stands: nobody says them, and no model is to learn to."""
    for value in values:
        if isinstance(value, str) and _looks_like_messages(value):
            readable = is_conversation(value)
            raise Unreadable("messages_instead_of_text" if readable else "messages_in_no_json", value)


def _looks_like_messages(text: str) -> bool:
    if not _OPENING.match(text):
        return False
    return bool(_ROLE.search(text) and _CONTENT.search(text)) or bool(_OBJECT.search(text))
