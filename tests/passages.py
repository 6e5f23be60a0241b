"""Passages for tests, of texts."""

from collections.abc import Iterable

from pipeline.data.passages import Passage


def ended(texts: Iterable[str]) -> list[Passage]:
    """Complete texts."""
    return [Passage(text, True) for text in texts]


def cut(texts: Iterable[str]) -> list[Passage]:
    """Texts that a length limit cut."""
    return [Passage(text, False) for text in texts]
