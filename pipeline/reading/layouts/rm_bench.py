"""RM-Bench: right and wrong responses in three styles each."""

from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.lists import pairs_of_lists, texts
from pipeline.reading.rows import Row


def _convert(row: Row) -> Converted:
    return pairs_of_lists(row["prompt"], texts(row["chosen"]), texts(row["rejected"]))


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
