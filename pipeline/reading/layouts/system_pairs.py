"""Pairs with a system text or earlier turns beside them, as orca pairs, axolotl and LLaMA-Factory have them."""

from typing import Any

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import first_of, structure
from pipeline.reading.layouts.layout import Converted, Layout, Row
from pipeline.reading.layouts.turns import Turns, pair, question, refuse_tools

_SYSTEM = ("system", "system_prompt", "history")
_PROMPT = ("question", "prompt", "conversations", "instruction", "input")
_CHOSEN = ("chosen", "chosen_response", "chatgpt")
_REJECTED = ("rejected", "rejected_response", "llama2-13b-chat")


def _asked(row: Row) -> Any:
    value = first_of(row, *_PROMPT)
    context = row.get("input")
    if isinstance(value, str) and value == row.get("instruction") and isinstance(context, str) and context.strip():
        return f"{value}\n{context}"
    return value


def _history(value: Any) -> Turns:
    found = structure(value) or []
    if not isinstance(found, list) or not all(isinstance(one, list) and len(one) == 2 for one in found):
        raise Unreadable("history_malformed")
    return [
        {"role": role, "content": words}
        for one in found
        for role, words in zip(("user", "assistant"), one, strict=True)
    ]


def _convert(row: Row) -> Converted:
    refuse_tools(row)
    if row.get("status") == "tie":  # distilabel's re-rated orca pairs
        raise Unreadable("tie")
    before = question(_asked(row))
    system = first_of(row, "system", "system_prompt")
    if history := _history(row.get("history")):
        before = question([*history, *before])
    return [pair(question(before, system=system), first_of(row, *_CHOSEN), first_of(row, *_REJECTED))]


SYSTEM_PAIRS = Layout(
    name="system_pairs",
    origin="Intel/orca_dpo_pairs and argilla/distilabel-intel-orca-dpo-pairs, data set cards; axolotl, guide to RLHF, "
    "`chatml.intel`; LLaMA-Factory, data/README.md, preference datasets",
    form="preference_pairs",
    needs=(_SYSTEM, _PROMPT, _CHOSEN, _REJECTED),
    reads=("tools", "images", "status"),
    not_beside=("messages", "conversation"),
    coding="`chosen` over `rejected` (`chatgpt` over `llama2-13b-chat`), after the turns of `history` and with "
    "`system` as the first turn; a `status` of `tie` is one",
    convert=_convert,
)
