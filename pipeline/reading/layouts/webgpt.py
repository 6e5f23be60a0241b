"""Comparisons of WebGPT: two answers with opposite scores."""

from collections.abc import Mapping

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import number, text
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.scores import best_and_worst
from pipeline.reading.rows import Row
from pipeline.reading.written_messages import structure


def _convert(row: Row) -> Converted:
    asked = structure(row["question"])
    prompt = asked.get("full_text") if isinstance(asked, Mapping) else asked
    first, second = (number(row[name]) for name in ("score_0", "score_1"))
    if first is None or second is None:
        raise Unreadable("no_winner", {"score_0": first, "score_1": second})
    if first != -second:
        raise Unreadable("scores_contradict_each_other", {"score_0": first, "score_1": second})
    return best_and_worst(prompt, [(text(row["answer_0"]), first), (text(row["answer_1"]), second)])


WEBGPT = Layout(
    name="webgpt_comparisons",
    origin="huggingface.co/datasets/openai/webgpt_comparisons, card; github.com/allenai/open-instruct, "
    "scripts/data/preferences/webgpt.py",
    form="preference_pairs",
    needs=(("question",), ("answer_0",), ("answer_1",), ("score_0",), ("score_1",)),
    coding="the higher score of `score_0` and `score_1`, which add up to 0; two zeros are a tie. The quotes are not "
    "part of the prompt",
    convert=_convert,
)
