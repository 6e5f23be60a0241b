"""A prompt as a chat template wrote it, and where the assistant's earlier turns stand in it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.excerpts import shorten

_SHOWN = 60
"""Characters of a text that differs."""


class Span(NamedTuple):
    """Characters of a prompt, from `start` up to `stop`."""

    start: int
    stop: int


class WrittenPrompt(str):
    """The text of a prompt; everything but `turns` and `lost` is that of the text."""

    turns: tuple[Span, ...]
    """The assistant's earlier turns, each with the token that ends it and nothing that the template writes."""
    lost: str
    """Why they cannot be told; empty where they can."""

    def __new__(cls, text: str, turns: Sequence[Span] = (), lost: str = "") -> "WrittenPrompt":
        """See the fields."""
        written = super().__new__(cls, text)
        written.turns, written.lost = tuple(turns), lost
        return written


class NotPrefixPreserving(Exception):
    """A template writes an earlier turn otherwise than when it was the last; the message says which, and how."""


Render = Callable[[Sequence[Any], bool], str]
"""Messages as the template writes them; the second argument is whether the assistant is to answer."""


def earlier_turns(messages: Sequence[Any], text: str, render: Render, *, end: str | None) -> Iterator[Span]:
    """Where the assistant's turns stand in a prompt, by differences of the template's prefixes.

    What the template writes of the messages before a turn, with the mark that asks for an answer, has to be what the
    prompt begins with; the turn is what it writes more once the turn is there, up to the token that ends it.

    Args:
        messages: of the prompt, each with a `role`.
        text: what the template wrote of them, with the mark that asks for an answer.
        end: the token that ends a turn; None where the template writes none.

    Raises:
        NotPrefixPreserving: naming the turn, and the texts that differ.
    """
    for number, message in enumerate(messages):
        if message.role != "assistant":
            continue
        if not end:
            raise NotPrefixPreserving("the template writes no token behind an answer that could end one")
        before, whole = render(messages[:number], True), render(messages[: number + 1], False)
        said = whole.removeprefix(before) if whole.startswith(before) else None
        stop = said.rfind(end) if said is not None else -1
        if said is None or stop < 0:
            raise NotPrefixPreserving(_difference(number, before, whole))
        turn = before + said[: stop + len(end)]
        if not text.startswith(turn):
            raise NotPrefixPreserving(_difference(number, turn, text))
        yield Span(len(before), len(turn))


def _difference(number: int, wanted: str, found: str) -> str:
    """What to say of a turn by its place among the messages."""
    same = next((at for at, (one, two) in enumerate(zip(wanted, found, strict=False)) if one != two), None)
    at = min(len(wanted), len(found)) if same is None else same
    one, two = (shorten(text[at:], _SHOWN) for text in (wanted, found))
    return (
        f"the template writes message {number + 1}, an answer, otherwise where others follow it than where it is the "
        f"last: {one!r} became {two!r}"
    )
