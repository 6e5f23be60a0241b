"""The turns of a transcript: who said what, whatever template wrote it, for the policy's own template to write."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.reading.chats import ROLES, Message, Unreadable, read_messages, read_transcript

_BEGINNINGS = ("<s>", "<bos>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>")
_ENDINGS = (
    *("<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "<end_of_turn>", "</s>", "<eos>"),
    "<｜end▁of▁sentence｜>",
)
_SYSTEM = ("<<SYS>>", "<</SYS>>")


@dataclass(frozen=True)
class _Marks:
    """How a template names who speaks."""

    speaker: re.Pattern[str]
    """What begins a turn; its only group is the role."""
    tokens: bool
    """Nobody says them: no response begins so."""


def _marks(pattern: str, flags: int = 0, *, tokens: bool = True) -> _Marks:
    return _Marks(re.compile(pattern, flags), tokens)


_KNOWN = (
    _marks(r"<\|im_start\|> ?(\w+)\n?"),
    _marks(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>(?:\n\n)?"),
    _marks(r"<[|｜](system|user|assistant)[|｜]>\n?", re.IGNORECASE),
    _marks(r"<start_of_turn>(\w+)\n?"),
    _marks(r"\[(/?INST)\]"),
    _marks(r"^##+ *(Human|User|System|Instruction|Assistant|Response):", re.MULTILINE, tokens=False),
    _marks(r"^(Human|User|System|Question|Q|Assistant|Bot|AI|GPT|Chatbot|Model|Answer|A):", re.MULTILINE, tokens=False),
    _marks(r"(?:(?<!\S)|(?<=</s>))(USER|ASSISTANT):", tokens=False),
)
"""The marks of ChatML, Llama 3, Zephyr and DeepSeek, Gemma, Llama 2, Guanaco and Alpaca, `User:` and `Bot:`, Vicuna."""
_OPENINGS = ("", " ", "\n", "<", "[")
_HH = re.compile(r"\s*\n\n(?:System|Human): ")
_SPEAKERS = {name: role for name, role in ROLES.items() if role != "tool"} | {
    "inst": "user",
    "/inst": "assistant",
    "instruction": "user",
    "response": "assistant",
    **dict.fromkeys(("question", "q"), "user"),
    **dict.fromkeys(("ai", "chatbot", "answer", "a"), "assistant"),
}


def without_ending(text: str) -> str:
    """A text without the tokens that end it, and without the white space around these; any other text as it is."""
    return _without_last(text, _ENDINGS)


def _without_last(text: str, tokens: tuple[str, ...]) -> str:
    while (bare := text.rstrip()).endswith(tokens):
        text = bare.removesuffix(next(token for token in tokens if bare.endswith(token))).rstrip()
    return text


def _bare(text: str) -> str:
    """A text without white space, and tokens that begin or end a turn or everything, at both of its ends."""
    text = text.strip()
    while text.startswith(_BEGINNINGS):
        text = text.removeprefix(next(token for token in _BEGINNINGS if text.startswith(token))).lstrip()
    return _without_last(text, (*_BEGINNINGS, *_ENDINGS))


def begins_with_turn(text: str, *, tokens: bool = False) -> bool:
    """Whether a text begins with a turn of a template.

    Args:
        tokens: one that marks turns by tokens, which nobody says.
    """
    start = _bare(text) if text[:1] in _OPENINGS else text
    if _HH.match(text):
        return True
    return any((marks.tokens or not tokens) and marks.speaker.match(start) for marks in _KNOWN)


def read_turns(prompt: str) -> tuple[list[Message], bool] | None:
    """The turns of a transcript that ends where the assistant is to answer, and whether tokens mark them.

    None of another text, and of one with something before its first turn, as the heading of a task.

    Raises:
        Unreadable: tokens mark a role that is unknown, or turns out of order.
    """
    if turns := read_transcript(prompt):
        return turns, False
    text = _bare(prompt)
    for marks in _KNOWN:
        if marks.speaker.match(text):
            found = _turns(marks, text)
            return (found, marks.tokens) if found else None
    return None


def _turns(marks: _Marks, text: str) -> list[Message] | None:
    _, *parts = marks.speaker.split(text)
    names, contents = parts[::2], [_bare(content) for content in parts[1::2]]
    if _SPEAKERS.get(names[-1].casefold()) != "assistant" or contents[-1] or len(names) < 2:
        return None
    if not marks.tokens and len({*names} - {"System"}) > 2:  # an `A:` in what `User:` and `Bot:` say is no turn
        return None
    try:
        if unknown := next((name for name in names if name.casefold() not in _SPEAKERS), None):
            raise Unreadable("unknown_role", unknown)
        return read_messages(_entries(names[:-1], contents[:-1]))
    except Unreadable:
        if marks.tokens:
            raise
        return None


def _entries(names: Sequence[str], contents: Sequence[str]) -> list[dict[str, str]]:
    entries = [
        {"role": _SPEAKERS.get(name.casefold(), name), "content": text}
        for name, text in zip(names, contents, strict=True)
    ]
    begin, end = _SYSTEM
    if contents[0].startswith(begin) and end in contents[0]:  # inside the first turn of Llama 2
        system, _, asked = contents[0].removeprefix(begin).partition(end)
        entries[0]["content"] = asked.strip()
        entries.insert(0, {"role": "system", "content": system.strip()})
    return entries
