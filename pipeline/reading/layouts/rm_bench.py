"""RM-Bench: right and wrong responses in three styles each."""

from collections.abc import Sequence
from typing import Any

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import structure, text
from pipeline.reading.layouts.layout import Converted, Layout, Row
from pipeline.reading.rows import UNUSED


def _texts(value: Any) -> list[str]:
    found = structure(value)
    if not isinstance(found, Sequence) or isinstance(found, str) or not found:
        raise Unreadable("no_list_of_responses")
    if not all(isinstance(one, str) for one in found):
        raise Unreadable("text_is_no_string")
    return [text(one) for one in found]


def _convert(row: Row) -> Converted:
    chosen, rejected = _texts(row["chosen"]), _texts(row["rejected"])
    if len(chosen) == len(rejected):
        pairs = list(zip(chosen, rejected, strict=True))
    else:
        pairs = [(chosen[0], one) for one in rejected]
    left = len(chosen) * len(rejected) - len(pairs)
    found = [{"prompt": row["prompt"], "chosen": one, "rejected": other} for one, other in pairs]
    return [*found, *({UNUSED: "other_pair_of_the_row"} for _ in range(left))]


RM_BENCH = Layout(
    name="rm_bench",
    origin="github.com/THU-KEG/RM-Bench, README.md; huggingface.co/datasets/allenai/reward-bench-2, card; "
    "github.com/allenai/reward-bench, rewardbench/utils.py",
    form="preference_pairs",
    needs=(("prompt",), ("chosen",), ("rejected",)),
    coding="lists of texts in `chosen` and `rejected`: those of the same place, which have the same style; where the "
    "lists differ in length, the first of `chosen` over each of `rejected`; other pairs are unused",
    convert=_convert,
    category="domain",
)
