"""Nectar: seven answers to a prompt, ranked from the best, which has rank 1.

axolotl's `zephyr.nectar` prefers the answer of the highest rank instead; the authors of the set and other
converters do not.
"""

from typing import Any

from pipeline.reading.chats import Unreadable, read_transcript
from pipeline.reading.layouts.cells import entries, number, text
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.scores import best_and_worst
from pipeline.reading.rows import Row


def _prompt(value: Any) -> Any:
    """The turns of a transcript; another text as it is."""
    messages = read_transcript(value) if isinstance(value, str) else None
    return [{"role": one.role, "content": one.content} for one in messages] if messages else value


def _convert(row: Row) -> Converted:
    ranked = []
    for answer in entries(row["answers"], reason="answers_malformed"):
        rank = number(answer.get("rank"))
        if rank is None:
            raise Unreadable("no_rank", answer)
        ranked.append((text(answer.get("answer")), -rank))
    return best_and_worst(_prompt(row["prompt"]), ranked, scored=False)


NECTAR = Layout(
    name="nectar",
    origin="huggingface.co/datasets/berkeley-nest/Nectar, card; github.com/allenai/open-instruct, "
    "scripts/data/preferences/nectar.py; github.com/renning22/FastChat, ning/data/dump_nectar.py",
    form="preference_pairs",
    needs=(("prompt",), ("answers",)),
    coding="of `answers`, the one with the lowest `rank` (1 is the best) over the one with the highest; "
    "the others are unused",
    convert=_convert,
    category="source",
)
