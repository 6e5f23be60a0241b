"""Pairs with a system text or earlier turns beside them, as orca pairs, axolotl and LLaMA-Factory have them."""

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import first_of, first_pair
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.turns import exchange, instruction, refuse_tools
from pipeline.reading.rows import Row

_SYSTEM = ("system", "system_prompt", "history")
_PROMPT = ("question", "prompt", "conversations", "instruction", "input")
_PAIRS = (("chosen", "rejected"), ("chosen_response", "rejected_response"), ("chatgpt", "llama2-13b-chat"))
_CHOSEN_SCORE = ("chosen_score", "score_chosen", "chosen_rating")
_REJECTED_SCORE = ("rejected_score", "score_rejected", "rejected_rating")


def _convert(row: Row) -> Converted:
    refuse_tools(row)
    if row.get("status") == "tie":  # distilabel's re-rated orca pairs
        raise Unreadable("tie", {"status": row["status"]})
    asked, system = instruction(row, *_PROMPT), first_of(row, "system", "system_prompt")
    found = exchange(asked, *first_pair(row, _PAIRS), system=system, earlier=row.get("history"))
    return [{**found, "chosen_score": first_of(row, *_CHOSEN_SCORE), "rejected_score": first_of(row, *_REJECTED_SCORE)}]


SYSTEM_PAIRS = Layout(
    name="system_pairs",
    origin="docs.axolotl.ai/docs/rlhf.html, `chatml`; github.com/hiyouga/LLaMA-Factory, data/README.md and "
    "data/dataset_info.json; huggingface.co/datasets/Intel/orca_dpo_pairs, renaming of its columns; "
    "huggingface.co/datasets/argilla/distilabel-intel-orca-dpo-pairs, card",
    form="preference_pairs",
    needs=(_SYSTEM, _PROMPT, *zip(*_PAIRS, strict=True)),
    reads=("tools", "images", "status", *_CHOSEN_SCORE, *_REJECTED_SCORE),
    speaks=(*_SYSTEM, "tools", "images", "status", "chatgpt"),
    not_beside=("messages", "conversation"),
    coding="`chosen` over `rejected`, also as `chosen_response` and `rejected_response` or `chatgpt` and "
    "`llama2-13b-chat`, after the turns of `history` and with `system` as the first turn, where a row has any; a "
    "`status` of `tie` is one, pairs that are `swapped` already are",
    convert=_convert,
)
