"""Two conversations that are stored as one text each: where their common prompt ends, whatever template wrote them."""

import re
from dataclasses import dataclass

from pipeline.reading.chats import Unreadable
from pipeline.reading.turn_marks import without_ending

_ANSWERING = "assistant|response|answer|output|completion|reply|bot|gpt|ai|model|chatbot"
_ASKING = "human|user|system|instruction|input|question|prompter|prompt|query"


@dataclass(frozen=True)
class _Template:
    """How a template marks turns."""

    answer: re.Pattern[str]
    """What stands before a response."""
    turn: re.Pattern[str]
    """Any turn, whoever speaks."""


def _template(answer: str, turn: str, flags: int = 0) -> _Template:
    return _Template(re.compile(answer, flags), re.compile(turn, flags))


_TEMPLATES = (
    _template(r"(?:\A|\n\n)Assistant:", r"(?:\A|\n\n)(?:System|Human|Assistant):"),
    _template(r"<\|im_start\|> ?assistant\n?", r"<\|im_start\|>"),
    _template(r"<\|start_header_id\|>assistant<\|end_header_id\|>(?:\n\n)?", r"<\|start_header_id\|>"),
    _template(r"<[|｜]assistant[|｜]>\n?", r"<[|｜](?:system|user|assistant)[|｜]>", re.IGNORECASE),
    _template(r"\[/INST\]", r"\[/?INST\]"),
    _template(r"<start_of_turn>model\n", r"<start_of_turn>"),
    _template(
        rf"^##+ *(?:{_ANSWERING})\b[^\n:]{{0,60}}:[ \t]*\n?",
        rf"^##+ *(?:[^\n:]{{1,80}}:[ \t]*$|(?:{_ANSWERING}|{_ASKING})\b[^\n:]{{0,60}}:)",
        re.MULTILINE | re.IGNORECASE,
    ),
    _template(r"^###* *[^\n]{1,80}:[ \t]*\n", r"^###* *[^\n]{1,80}:[ \t]*\n", re.MULTILINE),
    _template(
        r"^(?:Assistant|Bot|AI|GPT|Chatbot|Model|Answer|A):|(?:(?<!\S)|(?<=</s>))ASSISTANT:",
        r"^(?:Human|User|System|Question|Q|Assistant|Bot|AI|GPT|Chatbot|Model|Answer|A):|(?:(?<!\S)|(?<=</s>))(?:USER|ASSISTANT):",
        re.MULTILINE,
    ),
)
"""How turns begin in hh-rlhf, ChatML, Llama 3, Zephyr and DeepSeek, Llama 2, Gemma, and behind `### Response:`, other
headings, and `User:`."""
_HEADINGS = _TEMPLATES[6:8]
_LOOSE = _TEMPLATES[6:]
"""Their marks may be part of what somebody says."""


def split_transcripts(first: str, second: str) -> tuple[str, str, str]:
    """Prompt and both responses of two transcripts with the same beginning, cut after its last turn mark.

    The template is the one whose turns begin first, as others may stand inside them. What both share after their
    responses, from a heading on, belongs to neither and is left out, and so is a token that ends them.

    Raises:
        Unreadable: they share no such turn, or go on with turns of their own.
    """
    shared = first[: _shared_length(first, second)]
    template = _wrapping(shared)
    if template is None:
        raise Unreadable("no_shared_turn", first, second)
    end = [match.end() for match in template.answer.finditer(shared)][-1]
    texts = first[end:], second[end:]
    if template in _HEADINGS:
        texts = _without_shared_end(*texts)
    responses = tuple(without_ending(text) for text in texts)
    for text in responses:
        if (at := _goes_on(text, template, first[:end])) is not None:
            raise Unreadable("turn_in_response", text[at:])
    return first[:end], responses[0], responses[1]


def _wrapping(shared: str) -> _Template | None:
    found = [
        (turn.start(), order, template)
        for order, template in enumerate(_TEMPLATES)
        if (turn := template.turn.search(shared)) and template.answer.search(shared)
    ]
    return min(found, key=lambda one: one[:2])[2] if found else None


def _goes_on(response: str, template: _Template, prompt: str) -> int | None:
    """Where a turn of its own begins: a heading or a name is one where the prompt has it, too."""
    marks = template.turn.finditer(response)
    return next((mark.start() for mark in marks if template not in _LOOSE or mark[0].strip() in prompt), None)


def _shared_length(first: str, second: str) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (one, two) in pairs if one != two), min(len(first), len(second)))


def _without_shared_end(first: str, second: str) -> tuple[str, str]:
    length = _shared_length(first[::-1], second[::-1])
    ending = first[len(first) - length :]
    heading = next((match for match in _HEADINGS[1].answer.finditer(ending) if match.start() > 0), None)
    if heading is None:
        return first, second
    cut = length - heading.start()
    return first[:-cut].rstrip("\n"), second[:-cut].rstrip("\n")
