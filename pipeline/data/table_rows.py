"""Rows of the tables of artifacts/data, which the schemas of `tables.py` check."""

from typing import NotRequired, TypedDict


class LabelRow(TypedDict):
    """A row of artifacts/data/labels: a text that people liked (1) or not (0)."""

    id: str
    text: str
    label: int
    prompt: NotRequired[str]
    """Of a text that a pair gave."""


class TextRow(TypedDict):
    """A row of artifacts/data/texts: a prompt with a real response."""

    id: str
    prompt: str
    response: str
    ended: bool
    """False where `data.response_words` cut the response."""


class PromptRow(TypedDict):
    """A row of artifacts/data/prompts."""

    id: str
    prompt: str
    category: str
    """The kind of prompt."""
