"""axolotl's `chat_template`: a conversation before a chosen and a rejected message."""

from pipeline.reading.layouts.cells import first_of
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.turns import pair, question, refuse_tools
from pipeline.reading.rows import Row


def _convert(row: Row) -> Converted:
    refuse_tools(row)
    before = question(first_of(row, "messages", "conversation"), system=row.get("system"))
    return [pair(before, row["chosen"], row["rejected"])]


MESSAGES_PAIRS = Layout(
    name="messages_pairs",
    origin="docs.axolotl.ai/docs/rlhf.html, `chat_template.default`; github.com/axolotl-ai-cloud/axolotl, "
    "src/axolotl/prompt_strategies/dpo/chat_template.py",
    form="preference_pairs",
    needs=(("messages", "conversation"), ("chosen",), ("rejected",)),
    reads=("system", "tools", "images"),
    not_beside=("prompt", "question", "instruction"),
    coding="`chosen` over `rejected`, each a message, after the turns of `messages` or `conversation`",
    convert=_convert,
)
