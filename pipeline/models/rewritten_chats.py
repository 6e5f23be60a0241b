"""Rewrites chats from one chat template to another, for a reward model that was trained with that other one."""

from transformers import PreTrainedTokenizerBase

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.reading.chats import Unreadable
from pipeline.reading.template_marks import TemplateMarks
from pipeline.reading.templates import TemplateStyle

_SHOWN = 80


class RewrittenChats:
    """Prompts with their answers, of which the last may be cut; a default system prompt of the one is dropped."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, marks: TemplateMarks) -> None:
        """Args:
        tokenizer: of the model that reads, with its chat template.
        marks: of the template that has written the texts.

        Raises:
            PipelineError: that template of the model fails.
        """
        self._style = TemplateStyle(tokenizer)
        if self._style.failure:
            raise PipelineError(
                "the reward model's own chat template fails on every chat, such as one question: "
                f"{self._style.failure}. Mend it in its folder, or take another model."
            )
        self._marks = marks
        self.end_of_turn = self._style.end_of_turn

    def rewrite(self, text: str) -> str:
        """A text without what ends its last answer; one that no template has written stays as it is.

        Raises:
            PipelineError: the text is not a whole chat, or the template does not support its turns.
        """
        messages = self._marks.read(text)
        if messages is None:
            if self._marks.asks not in text:
                return text
            raise PipelineError(
                "the reward model reads chats by a template of its own, and a text is not a whole chat that could be "
                f"written by it, such as one with calls of tools, or cut by over_context: {shorten(text, _SHOWN)!r}."
            )
        try:
            return self._style.prompt(messages[:-1]) + self._style.response(messages[-1])
        except Unreadable as reason:
            raise PipelineError(
                f"the reward model's own chat template refuses a chat ({reason}: {reason.seen}). Leave such rows out, "
                "or take a model whose template takes them."
            ) from None
