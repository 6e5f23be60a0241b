"""JudgeBench: two responses, of which one is objectively right."""

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import text
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.rows import Row

_WINNERS = {"A>B": "a", "B>A": "b"}


def _convert(row: Row) -> Converted:
    winner = _WINNERS.get(row["label"]) if isinstance(row["label"], str) else None
    if winner is None:
        raise Unreadable("not_in_the_coding", row["label"])
    found = {"response_a": text(row["response_A"]), "response_b": text(row["response_B"])}
    return [{"prompt": row["question"], **found, "winner": winner}]


JUDGE_BENCH = Layout(
    name="judge_bench",
    origin="github.com/ScalerLab/JudgeBench, README.md and utils/judges.py",
    form="comparisons",
    needs=(("question",), ("response_A",), ("response_B",), ("label",)),
    coding="`label`: `A>B` is `response_A`, `B>A` is `response_B`",
    convert=_convert,
    category="source",
)
