"""OpenAI's comparisons of summaries."""

from collections.abc import Mapping
from typing import Any

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import entries, text, whole
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.rows import Row
from pipeline.reading.written_messages import structure


def _prompt(info: Any) -> str:
    found = structure(info)
    if not isinstance(found, Mapping):
        raise Unreadable("info_malformed", info)
    if found.get("post"):
        heads = (("SUBREDDIT: r/", found.get("subreddit")), ("TITLE: ", found.get("title")))
        parts = [f"{head}{value}" for head, value in heads if value]
        return "\n\n".join([*parts, f"POST: {text(found['post'])}", "TL;DR:"])
    return f"{text(found.get('article'))}\n\nTL;DR:"


def _convert(row: Row) -> Converted:
    summaries = entries(row["summaries"], reason="summaries_malformed")
    if len(summaries) != 2:
        raise Unreadable("not_two_summaries", summaries)
    # the space belongs to the response, because byte-level tokenizers write it into the first token
    first, second = (f" {text(one.get('text')).strip()}" for one in summaries)
    winner = "ab"[whole(row["choice"], (0, 1))]
    return [{"prompt": _prompt(row["info"]), "response_a": first, "response_b": second, "winner": winner}]


SUMMARIZE = Layout(
    name="summarize_from_feedback",
    origin="github.com/openai/summarize-from-feedback, README.md and "
    "summarize_from_feedback/utils/experiment_helpers.py; "
    "github.com/LAION-AI/Open-Assistant, model/model_training/custom_datasets/rank_datasets.py",
    form="comparisons",
    needs=(("info",), ("summaries",), ("choice",)),
    coding="`choice`: 0 is the first of `summaries`, 1 the second; a `worker` votes, and rows with the same summaries "
    "are votes on one pair",
    convert=_convert,
    annotator="worker",
)
