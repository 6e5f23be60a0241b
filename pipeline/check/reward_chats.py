"""Whether a finished reward model can read the chats: by its own template, where that is not the policy's."""

from pipeline.check.findings import Findings
from pipeline.check.models import Readers
from pipeline.check.settings import Settings
from pipeline.check.sources import ReadData
from pipeline.errors import PipelineError
from pipeline.models.rewritten_chats import RewrittenChats
from pipeline.models.text_format import TextFormat, read_by_its_own
from pipeline.reading.chats import Message

_MOST_CHATS = 500
"""Chats that are written anew; of more, every second, third, ..."""
_KEY = "models.reward_backbone.source"


def check_reward_chats(data: ReadData, readers: Readers, settings: Settings, findings: Findings) -> None:
    """Say what the model's template makes of the chats, before it is fetched and everything before it has run."""
    style = data.style
    if not settings.models.reward_backbone.is_reward_model or style.template_hash is None or not style.written:
        return
    marks = None if style.has_tools else style.marks
    texts = TextFormat(style.name, style.template_hash, end_of_turn=style.end_of_turn, marks=marks)
    prompts = [row["prompt"] for rows in data.prepared.prompts.values() for row in rows]
    answer = style.response(Message("assistant", "Yes."))
    try:
        own = read_by_its_own(texts, readers.reward.chat_template)
        if own.own_template and own.marks is not None:
            chats = RewrittenChats(readers.reward, own.marks)
            for prompt in prompts[:: -(-len(prompts) // _MOST_CHATS) or 1]:
                chats.rewrite(prompt + answer)
    except PipelineError as error:
        findings.error(str(error), _KEY)
