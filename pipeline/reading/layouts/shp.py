"""Stanford Human Preferences: two comments on a post."""

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import number, text, whole
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.rows import Row


def _convert(row: Row) -> Converted:
    first, second = ("A", "B") if whole(row["labels"], (0, 1)) else ("B", "A")
    pair = {"prompt": row["history"], **_pair(row, first, second)}
    better, worse = number(row.get(f"score_{first}")), number(row.get(f"score_{second}"))
    if better is None or worse is None:
        return [pair]
    if better <= worse:
        raise Unreadable("scores_contradict_label", {name: row[name] for name in ("labels", "score_A", "score_B")})
    return [{**pair, "chosen_score": better, "rejected_score": worse}]


def _pair(row: Row, first: str, second: str) -> dict[str, str]:
    return {"chosen": text(row[f"human_ref_{first}"]), "rejected": text(row[f"human_ref_{second}"])}


SHP = Layout(
    name="shp",
    origin="huggingface.co/datasets/stanfordnlp/SHP, card; github.com/eric-mitchell/direct-preference-optimization, "
    "preference_datasets.py",
    form="preference_pairs",
    needs=(("history",), ("human_ref_A",), ("human_ref_B",), ("labels",)),
    reads=("score_A", "score_B"),
    coding="`labels`: 1 is `human_ref_A`, 0 is `human_ref_B`; a row whose `score_A` and `score_B` say otherwise is "
    "dropped",
    convert=_convert,
    category="domain",
)
