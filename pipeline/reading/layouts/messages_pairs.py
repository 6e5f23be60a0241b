"""axolotl's `chat_template` and open-instruct: a conversation before a chosen and a rejected message."""

from pipeline.reading.layouts.cells import first_of
from pipeline.reading.layouts.layout import Converted, Layout, Row
from pipeline.reading.layouts.turns import pair, question, refuse_tools


def _convert(row: Row) -> Converted:
    refuse_tools(row)
    before = question(first_of(row, "messages", "conversation"), system=row.get("system"))
    return [pair(before, row["chosen"], row["rejected"])]


MESSAGES_PAIRS = Layout(
    name="messages_pairs",
    origin="axolotl, guide to RLHF, `chat_template.default`; docs.axolotl.ai/docs/rlhf.html. allenai/open-instruct",
    form="preference_pairs",
    needs=(("messages", "conversation"), ("chosen",), ("rejected",)),
    reads=("system", "tools", "images"),
    not_beside=("prompt", "question", "instruction"),
    coding="`chosen` over `rejected`, each a message, after the turns of `messages` or `conversation`",
    convert=_convert,
)
