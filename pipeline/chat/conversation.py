"""Turns of a person, answered by two policies: by name, or blindly with a vote on each pair."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol

from pipeline.chat.speaker import Write
from pipeline.data.records import record_id
from pipeline.labelling.items import Item
from pipeline.labelling.session import Session
from pipeline.labelling.vote_log import VoteLog
from pipeline.models.decoding import Continuation
from pipeline.reading.chats import Message
from pipeline.seeding import seed_for

HELP = "Enter alone takes a prompt of the data, /new begins again, /quit or Ctrl-D ends."
QUESTION = "Which is better? 1, 2, t for a tie, s to skip: "
_CHOICES = {"1": "a", "2": "b", "t": "tie", "s": "skip"}


class Answers(Protocol):
    """What a conversation needs of a policy; see `Speaker`."""

    @property
    def has_turns(self) -> bool: ...

    def prompt(self, turns: list[Message]) -> str: ...

    def answer(self, prompt: str, *, seed: int, write: Write) -> Continuation: ...


class Conversation:
    """Reads the lines of a person, and writes the answers of two policies to each."""

    def __init__(
        self,
        speakers: dict[str, Answers],
        *,
        ask: Callable[[str], str],
        write: Write,
        prompts: Iterator[str],
        seed: int,
        votes: VoteLog | None = None,
        annotator: str = "",
    ) -> None:
        """Take two speakers by their names, the policy first.

        Args:
            ask: shows a text and returns a line; EOFError ends.
            prompts: prompts of the data, of which Enter alone takes the next.
            votes: the file of the votes; None shows the names and asks for no vote.
        """
        self._speakers, self._ask, self._write, self._prompts = speakers, ask, write, prompts
        self._seed, self._votes, self._annotator = seed, votes, annotator
        self._turns: list[Message] = []
        self._number = 0
        self.tally: Counter[str] = Counter()
        """How many votes each name, `tie` and `skip` got."""

    def run(self) -> None:
        """Read lines until /quit or the end of the input."""
        self._write(f"{HELP}\n")
        try:
            while (line := self._ask("\n> ").strip()) != "/quit":
                if line == "/new":
                    self._turns = []
                elif line or (prompt := next(self._prompts, None)) is not None:
                    self._turn(line or None, "" if line else str(prompt))
                else:
                    self._write("the data have no prompt left\n")
        except EOFError:
            self._write("\n")

    def _turn(self, line: str | None, prompt: str) -> None:
        first = next(iter(self._speakers.values()))
        if line is None:
            self._turns = []
            self._write(f"{prompt}\n")
        else:
            self._turns = [*(self._turns if first.has_turns else []), Message("user", line)]
            prompt = first.prompt(self._turns)
        # the number of lines that the file has makes each pair of responses an item of its own
        number = self._number if self._votes is None else len(self._votes.rows)
        self._number += 1
        identity = record_id(prompt, *self._speakers, str(number))
        said = self._answers(identity, prompt)
        kept = said[0] if self._votes is None else self._vote(identity, prompt, said)
        if line is not None:
            self._turns.append(Message("assistant", kept.text.strip()))

    def _answers(self, identity: str, prompt: str) -> list[Continuation]:
        """The answers in the order of the speakers; a blind reader sees them in the order of the item."""
        names = list(self._speakers)
        shown = names if self._votes is None or self._order(identity) == "ab" else names[::-1]
        said = {}
        for place, name in enumerate(shown, start=1):
            self._write(f"\n{name if self._votes is None else place}: ")
            seed = seed_for(self._seed, f"chat/{name}/{identity}")
            said[name] = self._speakers[name].answer(prompt, seed=seed, write=self._write)
            self._write("\n")
        return [said[name] for name in names]

    def _order(self, identity: str) -> str:
        return Item(identity, "", ("", "")).order_for(self._annotator, self._seed)

    def _vote(self, identity: str, prompt: str, said: list[Continuation]) -> Continuation:
        """Ask, keep the vote, and return the response with which the conversation goes on."""
        assert self._votes is not None
        one, two = said
        item = Item(identity, prompt, (one.text, two.text), (one.ended, two.ended))
        session = Session([item], self._votes, self._annotator, seed=self._seed)
        while (choice := _CHOICES.get(self._ask(f"\n{QUESTION}").strip().lower())) is None:
            self._write("1, 2, t or s\n")
        session.vote(identity, choice)
        straight = self._order(identity) == "ab"
        won = 0 if choice not in ("a", "b") or (choice == "a") == straight else 1
        self.tally[list(self._speakers)[won] if choice in ("a", "b") else choice] += 1
        return said[won]
