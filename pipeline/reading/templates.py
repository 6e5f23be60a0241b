"""Conversations written out by the chat template of the policy's tokenizer."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from pipeline.errors import PipelineError
from pipeline.reading.chats import Message, Unreadable
from pipeline.reading.control_tokens import control_tokens
from pipeline.reading.endings import TEMPLATE_ERRORS, end_of_turn, mark_id
from pipeline.reading.styles import Style
from pipeline.reading.template_marks import TemplateMarks
from pipeline.reading.tools import refuse_unwritten_tools
from pipeline.reading.written_prompts import NotPrefixPreserving, WrittenPrompt, earlier_turns


class TemplateStyle(Style):
    """The prompt as the template writes it before an answer, the response up to the token that ends it."""

    name = "template"
    failure: str
    """What the template says of any chat; empty where it writes one."""
    written: bool
    """Whether it has written a chat: the texts of a data set may all be transcripts already."""

    keeps_transcripts = False

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        separator: str = "",
        *,
        control_tokens: Sequence[str] = (),
        wraps: bool = False,
    ) -> None:
        super().__init__(separator, control_tokens=control_tokens, wraps=wraps)
        self.template_hash = hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()
        self.end_of_turn = end_of_turn(tokenizer)
        self._tokenizer = tokenizer
        self.marks = TemplateMarks.of(
            lambda messages: self._render(messages, add_generation_prompt=True), end_of_turn=self.end_of_turn
        )
        self.failure = self._failure()
        self.written = False
        mark = mark_id(tokenizer, self.end_of_turn)
        self._end = None if mark is None else str(tokenizer.convert_ids_to_tokens(mark))

    def _prompt(self, messages: Sequence[Message]) -> str:
        if self.failure:
            raise PipelineError(
                f"the chat template of models.policy.source fails on every chat, such as one question: {self.failure}. "
                "Mend it, set models.policy.chat_template, or set data.chat_format to transcript."
            )
        if not messages or messages[-1].role not in ("user", "tool"):
            raise Unreadable("prompt_does_not_end_with_the_user", *(one.role for one in messages[-1:]))
        text = self._render(messages, add_generation_prompt=True)
        refuse_unwritten_tools(text, messages, self._tools)
        for message in messages:
            # templates may leave it out of earlier answers, as the model is used; not where it answers
            if message.reasoning:
                _refuse_unwritten_reasoning(self._answered(message), message)
        if all(one.role != "assistant" for one in messages):
            return text
        try:
            return WrittenPrompt(text, tuple(earlier_turns(messages, text, self._prefix, end=self._end)))
        except NotPrefixPreserving as reason:
            return WrittenPrompt(text, lost=str(reason))

    def _failure(self) -> str:
        """What the template says of one question, with a system prompt and without; empty where it takes either."""
        question, failure = Message("user", "?"), ""
        for chat in ([question], [Message("system", "."), question]):
            try:
                if self._render(chat, add_generation_prompt=True).strip():
                    return ""
                failure = failure or "it writes nothing"
            except Unreadable as reason:
                failure = failure or reason.seen
        return failure

    def _prefix(self, messages: Sequence[Message], asks: bool) -> str:
        try:
            return self._render(messages, add_generation_prompt=asks)
        except Unreadable as reason:
            raise NotPrefixPreserving(
                f"the template refuses the first {len(messages)} messages: {reason.seen}"
            ) from None

    def _response(self, message: Message) -> str:
        """Behind any prompt: what the template adds after the generation prompt, without the end of the turn."""
        if message.role != "assistant":
            raise Unreadable("response_is_not_the_assistants", message.role)
        question = [Message("user", "?")]
        before = self._render(question, add_generation_prompt=True)
        whole = self._answered(message)
        if not whole.startswith(before):
            raise Unreadable("template_rewrites_the_response", message.content)
        text = whole.removeprefix(before)
        refuse_unwritten_tools(text, [message], None)
        _refuse_unwritten_reasoning(text, message)
        end = (self.end_of_turn or "").rstrip()
        # the end is appended as a token, because a cut response has none
        return text.rstrip().removesuffix(end) if end and text.rstrip().endswith(end) else text

    def _answered(self, message: Message) -> str:
        """One question with this answer."""
        return self._render([Message("user", "?"), message], add_generation_prompt=False)

    def _render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        entries = [
            {
                "role": one.role,
                "content": one.content,
                **json.loads(one.calls or "{}"),
                **json.loads(one.reasoning or "{}"),
            }
            for one in messages
        ]
        try:
            text = self._tokenizer.apply_chat_template(
                entries, tools=self._tools, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except TEMPLATE_ERRORS as error:
            raise Unreadable("template_refuses_the_roles", [one.role for one in messages], str(error)) from None
        self.written = True
        return str(text)


def _refuse_unwritten_reasoning(text: str, message: Message) -> None:
    """Raise Unreadable where a template has left out what was thought before an answer: as it is, under its key."""
    for thought in json.loads(message.reasoning or "{}").values():
        if thought.strip() not in text:
            raise Unreadable("template_writes_no_reasoning", thought)


def load_style(name: str, policy: Path, *, separator: str, wraps: bool = False) -> Style:
    """transcript, template, or for auto the template where the policy's tokenizer has one.

    Args:
        wraps: texts are written as turns, too, as they are where a template is asked for by its name.

    Raises:
        PipelineError: a template is asked for and there is none.
    """
    tokens = control_tokens(policy)
    if name == "transcript":
        return Style(separator, control_tokens=tokens, wraps=wraps)
    tokenizer = AutoTokenizer.from_pretrained(policy)
    if tokenizer.chat_template:
        return TemplateStyle(tokenizer, separator, control_tokens=tokens, wraps=wraps or name == "template")
    if name == "auto":
        return Style(separator, control_tokens=tokens, wraps=wraps)
    raise PipelineError(
        "data.chat_format is template, but the tokenizer of models.policy.source has no chat template. "
        "Use transcript, or the instruction-tuned model."
    )
