"""Whether finished reward models can read the chats, where their chat templates are not the policy's."""

from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerBase

from pipeline.check.findings import Findings
from pipeline.check.models import Readers
from pipeline.check.settings import Settings
from pipeline.check.sources import ReadData
from pipeline.errors import PipelineError
from pipeline.models.rewritten_chats import RewrittenChats
from pipeline.models.sources import load_source_tokenizer
from pipeline.models.text_format import TextFormat, read_by_its_own
from pipeline.params.base import ModelSource
from pipeline.reading.chats import Message

_MOST_CHATS = 500
"""The most chats that are written anew; of more, every second, third, ..."""


def check_reward_chats(data: ReadData, readers: Readers, settings: Settings, findings: Findings) -> None:
    """Add an error for each finished reward model whose own template refuses a chat."""
    style = data.style
    if style.template_hash is None or not style.written:
        return
    marks = None if style.has_tools else style.marks
    texts = TextFormat(style.name, style.template_hash, end_of_turn=style.end_of_turn, marks=marks)
    prompts = [row["prompt"] for rows in data.prepared.prompts.values() for row in rows]
    answer = style.response(Message("assistant", "Yes."))
    chats = [prompt + answer for prompt in prompts[:: -(-len(prompts) // _MOST_CHATS) or 1]]
    for key, name, tokenizer in _finished(readers, settings, findings):
        try:
            _rewrite(chats, texts, tokenizer)
        except PipelineError as error:
            findings.error(f"{name}{error}", key)


def _finished(
    readers: Readers, settings: Settings, findings: Findings
) -> Iterator[tuple[str, str, PreTrainedTokenizerBase]]:
    """Key, beginning of the messages, and tokenizer of each reward model that is not trained here."""
    if settings.models.reward_backbone.is_reward_model:
        yield "models.reward_backbone.source", "", readers.reward
    named: list[tuple[str, str, ModelSource]] = [
        ("evaluate_reward.candidates", f"{one.name}: ", one) for one in settings.candidates
    ]
    if "reward_model" in (settings.judge_kind, settings.second_judge):
        named.append(("judge.reward_model.source", "", settings.judge_model))
    for key, name, model in named:
        with findings.collecting():
            where = f"{key}, {name}source" if name else key
            yield key, name, load_source_tokenizer(model, key=where)


def _rewrite(chats: Sequence[str], texts: TextFormat, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise PipelineError where the model's own template refuses a chat."""
    own = read_by_its_own(texts, tokenizer.chat_template)
    if own.own_template and own.marks is not None:
        rewritten = RewrittenChats(tokenizer, own.marks)
        for chat in chats:
            rewritten.rewrite(chat)
