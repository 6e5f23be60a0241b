"""What a chat template writes around the texts of a chat, by which another template can write the same chat."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.reading.chats import Message, Unreadable

_SYSTEM, _ASKED, _SAID, _AGAIN = "The first text.", "The second text.", "The third text.", "The fourth text."
"""Whose places in a written chat are looked for."""


@dataclass(frozen=True)
class TemplateMarks:
    """Texts of a template, from the beginning of a chat to where it asks for the last answer."""

    begin: str
    """Before the first question of a chat without a system prompt; a default one is part of it."""
    begin_system: str | None
    """Before a system prompt; None where the template takes none."""
    end_system: str | None
    """Between it and the first question."""
    answer: str
    """Between a question and an answer that others follow."""
    question: str
    """Between such an answer and the next question."""
    asks: str
    """Behind the last question."""
    end_of_turn: str | None = None
    """Behind an answer, from the token that ends it on."""

    @classmethod
    def of(
        cls, render: Callable[[Sequence[Message]], str], *, end_of_turn: str | None = None
    ) -> "TemplateMarks | None":
        """The marks of a template; None for one that rewrites texts, or puts them in another order.

        Args:
            render: a prompt as the template writes it, with the mark that asks for an answer.
            end_of_turn: see the field.
        """
        chat = [Message("user", _ASKED), Message("assistant", _SAID), Message("user", _AGAIN)]
        try:
            parts = _around(render(chat), _ASKED, _SAID, _AGAIN)
        except Unreadable:
            return None
        if parts is None or not (parts[1] and parts[2] and parts[3]):
            return None
        try:
            before = _around(render([Message("system", _SYSTEM), *chat]), _SYSTEM, _ASKED, _SAID, _AGAIN)
        except Unreadable:
            before = None
        has_system = before is not None and before[2:] == parts[1:]
        return cls(
            begin=parts[0],
            begin_system=before[0] if before is not None and has_system else None,
            end_system=before[1] if before is not None and has_system else None,
            answer=parts[1],
            question=parts[2],
            asks=parts[3],
            end_of_turn=end_of_turn,
        )

    def read(self, text: str) -> list[Message] | None:
        """The chat that a prompt with its answer behind it was written from; None of any other text.

        The answer, which may have been cut, is the last message.
        """
        for messages, rest in self._openings(text):
            *parts, last = rest.split(self.asks)
            # answers that others follow may begin as the last one does
            if not parts:
                continue
            turns = self._turns(self.asks.join(parts))
            if turns is not None:
                found = [*messages, *turns, Message("assistant", self._bare(last))]
                return None if any(self._has_mark(message.content) for message in found) else found
        return None

    def _has_mark(self, text: str) -> bool:
        """Whether there is a turn in what should be one, as of a tool."""
        end = (self.end_of_turn or "").strip()
        return self.question in text or bool(end and end in text)

    def _openings(self, text: str) -> Iterator[tuple[list[Message], str]]:
        """The system prompt, if there is one, and what follows; the longest beginning first."""
        found: list[tuple[str, bool]] = [(self.begin, False)]
        if self.begin_system is not None:
            found.append((self.begin_system, True))
        for begin, has_system in sorted(found, key=lambda one: -len(one[0])):
            if not text.startswith(begin):
                continue
            rest = text.removeprefix(begin)
            if not has_system:
                yield [], rest
            elif self.end_system and self.end_system in rest:
                system, _, rest = rest.partition(self.end_system)
                yield [Message("system", system)], rest

    def _turns(self, text: str) -> list[Message] | None:
        """Questions and the answers between them."""
        *earlier, last = text.split(self.question)
        found = []
        for part in earlier:
            asked, mark, said = part.partition(self.answer)
            if not mark:
                return None
            found += [Message("user", asked), Message("assistant", said)]
        return [*found, Message("user", last)] if self.answer not in last else None

    def _bare(self, response: str) -> str:
        """An answer without the white space that the template writes around one."""
        lead = self.answer.removeprefix(self.asks) if self.answer.startswith(self.asks) else ""
        tail = self.question.partition(self.end_of_turn.strip())[0] if self.end_of_turn else ""
        return response.removeprefix(lead).removesuffix(tail)


def _around(text: str, *parts: str) -> tuple[str, ...] | None:
    """What stands before, between and behind parts of a text, each of which it has once, in this order."""
    if any(text.count(part) != 1 for part in parts):
        return None
    found = []
    for part in parts:
        before, known, text = text.partition(part)
        if not known:
            return None
        found.append(before)
    return (*found, text)
