"""The pairwise test data of Auto-J."""

from pipeline.reading.layouts.cells import text, whole
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.rows import Row

_WINNERS = ("a", "b", "tie")


def _convert(row: Row) -> Converted:
    winner = _WINNERS[whole(row["label"], (0, 1, 2))]
    found = {"prompt": row["prompt"], "response_a": text(row["response 1"]), "response_b": text(row["response 2"])}
    return [{**found, "winner": winner}]


AUTO_J = Layout(
    name="auto_j",
    origin="github.com/GAIR-NLP/auto-j, README.md on `testdata_pairwise.jsonl`",
    form="comparisons",
    needs=(("scenario",), ("prompt",), ("response 1",), ("response 2",), ("label",)),
    coding="`label`: 0 is `response 1`, 1 is `response 2`, 2 is a tie",
    convert=_convert,
    category="scenario",
)
