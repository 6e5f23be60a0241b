"""Texts that fit a query and texts that do not, as FlagEmbedding trains rerankers with."""

from typing import Any

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import first_of, text
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.lists import pairs_of_lists, texts
from pipeline.reading.rows import Row
from pipeline.reading.transcripts import split_transcripts
from pipeline.reading.written_messages import structure

_QUERY = ("query", "question", "instruction", "prompt")


def _listed(value: Any) -> list[str]:
    return texts(value) if isinstance(structure(value), list) else [text(value)]


def _convert(row: Row) -> Converted:
    better, worse = _listed(row["pos"]), _listed(row["neg"])
    prompt = first_of(row, *_QUERY)
    if prompt is not None:
        return pairs_of_lists(text(prompt), better, worse)
    if len(better) > 1 or len(worse) > 1:
        raise Unreadable("no_prompt", better, worse)
    try:
        split_transcripts(better[0], worse[0])
    except Unreadable:
        raise Unreadable("no_prompt", better[0], worse[0]) from None
    return [{"chosen": better[0], "rejected": worse[0]}]


POS_NEG = Layout(
    name="pos_neg",
    origin="huggingface.co/BAAI/bge-reranker-v2-minicpm-layerwise, card on the data format for fine-tuning",
    form="preference_pairs",
    needs=(("pos",), ("neg",)),
    reads=_QUERY,
    not_beside=("chosen", "rejected"),
    coding="`pos` over `neg`, after `query` (or `question`, `instruction`, `prompt`, the first that is filled): lists "
    "pair those of the same place; where they differ in length, the first of `pos` over each of `neg`, and other pairs "
    "are unused. Without a prompt, transcripts with a common beginning",
    convert=_convert,
)
