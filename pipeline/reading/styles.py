"""How prompts and responses are written out as texts, whatever they are stored as, the same way in a whole run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from pipeline.reading.chats import (
    Message,
    Unreadable,
    read_messages,
    read_transcript,
    refuse_different_turns,
    render_prompt,
    render_response,
)
from pipeline.reading.template_marks import TemplateMarks
from pipeline.reading.turn_marks import read_turns
from pipeline.reading.written_messages import structure

_BEFORE = 20
"""Characters around a token that are shown."""


class Written(NamedTuple):
    """What a style has written so far, in any process."""

    kinds: frozenset[str]
    """Which of the two it has written: chats, texts, or both."""
    used: bool
    """See `Style.written`."""
    tools: bool = False
    """See `Style.has_tools`."""


class Style:
    """Writes chats as the transcripts of hh-rlhf, and leaves texts as they are where there are no chats.

    Texts with a control token of the policy are Unreadable: it would end a turn, or begin one of another role.
    """

    name = "transcript"
    written = True
    template_hash: str | None = None
    """sha256 of the chat template, where one writes them."""
    end_of_turn: str | None = None
    """What the chat template writes behind an answer, from the token that ends it on."""
    marks: TemplateMarks | None = None
    """What the chat template writes around the texts of a chat; None also where that cannot be told."""
    keeps_transcripts = True
    """Whether a text that is a transcript of hh-rlhf already stands as this style would write it."""

    def __init__(self, separator: str = "", *, control_tokens: Sequence[str] = (), wraps: bool = False) -> None:
        self.separator = separator
        """What comes between a prompt and a response that are texts."""
        self.control_tokens = tuple(control_tokens)
        self._openings = sorted({token[0] for token in self.control_tokens})
        self._any_token = re.compile("|".join(map(re.escape, self.control_tokens)))
        self.wraps = wraps
        """Whether plain texts are written as the turns of a chat, too."""
        self._seen: set[str] = set()
        self._tools: list[Any] | None = None
        self.has_tools = False
        """Whether it has written a chat with tools."""

    @contextmanager
    def given(self, tools: Any) -> Iterator[None]:
        """Write chats in which the model may call these tools: a list of JSON schemas, or its JSON; none where None.

        Raises:
            Unreadable: they are not such a list.
        """
        found = structure(tools) if tools is not None else None
        if found and not (isinstance(found, list) and all(isinstance(one, Mapping) for one in found)):
            raise Unreadable("tools_malformed", tools)
        self._tools = list(found) if found else None
        try:
            yield
        finally:
            self._tools = None

    @property
    def is_mixed(self) -> bool:
        """Whether it has written both chats and plain texts: a model would have to learn two formats."""
        return not self.wraps and len(self._seen) > 1

    @property
    def has_written(self) -> Written:
        """What a copy of it in another process has to know."""
        return Written(frozenset(self._seen), self.written, self.has_tools)

    def note_written(self, written: Written) -> None:
        """Take over what a copy has written."""
        self._seen |= written.kinds
        self.written = self.written or written.used
        self.has_tools = self.has_tools or written.tools

    def prompt(self, messages: Sequence[Message]) -> str:
        """Everything before the response; the last turn is the user's, or it is Unreadable."""
        self.check(*(part for message in messages for part in (message.content, message.calls, message.reasoning)))
        text = self._prompt(messages)
        self.has_tools = self.has_tools or bool(self._tools) or any(message.has_tools for message in messages)
        self._seen.add("chat")
        return text

    def response(self, message: Message) -> str:
        """The response behind its prompt; it is the assistant's, or it is Unreadable."""
        self.check(message.content, message.calls, message.reasoning)
        return self._response(message)

    def texts(self, prompt: str, *responses: str) -> tuple[str, ...]:
        """A prompt and responses that are stored as texts; of a transcript that ends where they begin, its turns."""
        turns, tokens = read_turns(prompt) or ([], False)
        if tokens or (turns and self.wraps and read_transcript(prompt) is not None):
            return self._chat(turns, responses)
        return self._plain(prompt, *(response if self.wraps else self.separator + response for response in responses))

    def transcript(self, prompt: str, *responses: str) -> tuple[str, ...]:
        """A prompt that is stored as a transcript, ending where responses begin, and what follows it.

        Turns that tokens mark are a chat. Others are one where texts are written as chats; a transcript of hh-rlhf is
        what this style writes itself.
        """
        if self.keeps_transcripts and read_transcript(prompt) is not None:
            self.check(prompt, *responses)
            if self._tools:
                raise Unreadable("tools_are_not_read", self._tools)
            return prompt, *responses
        turns, tokens = read_turns(prompt) or ([], False)
        if not turns or not (tokens or self.wraps):
            return self._plain(prompt, *responses)
        return self._chat(turns, responses)

    def _chat(self, turns: Sequence[Message], responses: Sequence[str]) -> tuple[str, ...]:
        answers = [Message("assistant", response.removeprefix(" ")) for response in responses]
        return self.prompt(turns), *(self.response(answer) for answer in answers)

    def continuation(self, prompt: str, response: str) -> tuple[str, str]:
        """The first words of a text, and how it goes on; between plain texts the space belongs to the response,
        because byte-level tokenizers write it into the first token."""
        if self.wraps:
            return self._prompt([Message("user", prompt)]), self._response(Message("assistant", response))
        self._seen.add("text")
        return prompt, f" {response}" if response else ""

    def check(self, *texts: str) -> None:
        """Raise Unreadable for a text with a control token."""
        for text in texts:
            # few texts have one of the few first characters, and to look for tokens takes long in long texts
            might = any(opening in text for opening in self._openings)
            if might and (found := self._any_token.search(text)):
                seen = text[max(0, found.start() - _BEFORE) : found.end() + _BEFORE]
                raise Unreadable("control_token_in_text", seen)

    def _plain(self, prompt: str, *responses: str) -> tuple[str, ...]:
        self.check(prompt, *responses)
        if not prompt.strip():
            raise Unreadable("empty_prompt", prompt)
        self._seen.add("text")
        if not self.wraps:
            if self._tools:
                raise Unreadable("tools_are_not_read", self._tools)
            return prompt, *responses
        answers = [Message("assistant", response) for response in responses]
        return self._prompt([Message("user", prompt)]), *(self._response(answer) for answer in answers)

    def _prompt(self, messages: Sequence[Message]) -> str:
        if self._tools or any(message.has_tools for message in messages):
            raise Unreadable("tools_are_not_read", self._tools or [one.calls for one in messages if one.has_tools])
        _refuse_reasoning(messages)
        return render_prompt(messages)

    def _response(self, message: Message) -> str:
        if message.has_tools:
            raise Unreadable("tools_are_not_read", message.calls)
        _refuse_reasoning([message])
        return render_response(message)


def _refuse_reasoning(messages: Sequence[Message]) -> None:
    """Raise Unreadable where an assistant has thought: a transcript has no place for it."""
    for message in messages:
        if message.reasoning:
            raise Unreadable("reasoning_is_not_read", message.reasoning)


def split_chats(first: Any, second: Any, style: Style) -> tuple[str, str, str]:
    """Prompt and both responses of two conversations that differ in their last message.

    Raises:
        Unreadable: another message differs, too, or there is no prompt.
    """
    one, two = read_messages(first), read_messages(second)
    refuse_different_turns(one[:-1], two[:-1])
    return style.prompt(one[:-1]), style.response(one[-1]), style.response(two[-1])
