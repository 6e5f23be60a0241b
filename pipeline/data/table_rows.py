"""The rows of the tables in artifacts/data, which the schemas of `tables.py` check."""

from typing import NotRequired, TypedDict


class LabelRow(TypedDict):
    """A row of artifacts/data/labels: a text that people liked (1) or not (0)."""

    id: str
    text: str
    label: int
    prompt: NotRequired[str]
    """The prompt of a text that is one side of a pair."""


class TextRow(TypedDict):
    """A row of artifacts/data/texts: a prompt with a real response."""

    id: str
    prompt: str
    response: str
    ended: bool
    """False where `data.response_words` cut the response."""
    preferred: NotRequired[bool]
    """True where the response is the chosen one of a pair; absent otherwise."""
    turns: NotRequired[list[list[int]]]
    """The assistant's earlier turns in a prompt that a chat template wrote, as [start, stop) in characters."""
    turns_lost: NotRequired[str]
    """Why these turns cannot be told, where the prompt has some."""


class PromptRow(TypedDict):
    """A row of artifacts/data/prompts."""

    id: str
    prompt: str
    category: str
    """The kind of prompt."""
