"""Pairs with a system text or earlier turns beside them, as orca pairs, axolotl and LLaMA-Factory have them."""

from typing import Any

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import first_of, first_pair, structure
from pipeline.reading.layouts.layout import Converted, Layout, Row
from pipeline.reading.layouts.turns import Turns, pair, question, refuse_tools

_SYSTEM = ("system", "system_prompt", "history")
_PROMPT = ("question", "prompt", "conversations", "instruction", "input")
_PAIRS = (("chosen", "rejected"), ("chosen_response", "rejected_response"), ("chatgpt", "llama2-13b-chat"))


def _asked(row: Row) -> Any:
    """The prompt; an instruction goes before its input, as in LLaMA-Factory, and no other two are guessed together."""
    said = {name: row[name] for name in _PROMPT if row.get(name) not in (None, "", [])}
    texts = list(said.values())
    if said.keys() == {"instruction", "input"} and all(isinstance(text, str) for text in texts):
        return "\n".join(text for text in texts if text.strip())
    if any(text != texts[0] for text in texts[1:]):
        raise Unreadable("two_prompts")
    return texts[0] if texts else None


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
    return [pair(question(before, system=system), *first_pair(row, _PAIRS))]


SYSTEM_PAIRS = Layout(
    name="system_pairs",
    origin="docs.axolotl.ai/docs/rlhf.html, `chatml`; github.com/hiyouga/LLaMA-Factory, data/README.md and "
    "data/dataset_info.json; huggingface.co/datasets/Intel/orca_dpo_pairs, renaming of its columns; "
    "huggingface.co/datasets/argilla/distilabel-intel-orca-dpo-pairs, card",
    form="preference_pairs",
    needs=(_SYSTEM, _PROMPT, *zip(*_PAIRS, strict=True)),
    reads=("tools", "images", "status"),
    not_beside=("messages", "conversation"),
    coding="`chosen` over `rejected`, also as `chosen_response` and `rejected_response` or `chatgpt` and "
    "`llama2-13b-chat`, after the turns of `history` and with `system` as the first turn; a `status` of `tie` is one, "
    "pairs that are `swapped` already are",
    convert=_convert,
)
