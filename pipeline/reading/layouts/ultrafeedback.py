"""UltraFeedback, and what distilabel writes of its kind: several scored completions of an instruction."""

from collections.abc import Sequence

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import entries
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.scores import best_and_worst_rated
from pipeline.reading.layouts.turns import question
from pipeline.reading.rows import Row
from pipeline.reading.written_messages import structure


def _completions(row: Row) -> Converted:
    found = entries(row["completions"], reason="completions_malformed")
    return best_and_worst_rated(row["instruction"], [(one.get("response"), one.get("overall_score")) for one in found])


def _generations(row: Row) -> Converted:
    texts, ratings = (structure(row[name]) for name in ("generations", "ratings"))
    if not all(isinstance(one, Sequence) and not isinstance(one, str) for one in (texts, ratings)):
        raise Unreadable("no_list_of_responses", texts, ratings)
    if len(texts) != len(ratings):
        raise Unreadable("no_score_for_every_response", texts, ratings)
    asked, system = row["instruction"], row.get("system_prompt")
    prompt = question(asked, system=system) if isinstance(system, str) and system.strip() else asked
    return best_and_worst_rated(prompt, list(zip(texts, ratings, strict=True)))


ULTRAFEEDBACK = Layout(
    name="ultrafeedback",
    origin="github.com/OpenBMB/UltraFeedback, README.md on the format and the update of `overall_score`",
    form="preference_pairs",
    needs=(("instruction",), ("completions",)),
    coding="of `completions`, the one with the highest `overall_score` over the one with the lowest; the others, and "
    "those without a score, are unused, and so are the system prompts that completions were written with",
    convert=_completions,
    category="source",
)
DISTILABEL = Layout(
    name="distilabel_ratings",
    origin="github.com/argilla-io/distilabel, src/distilabel/steps/tasks/ultrafeedback.py",
    form="preference_pairs",
    needs=(("instruction",), ("generations",), ("ratings",)),
    reads=("system_prompt",),
    not_beside=("chosen",),
    coding="of `generations`, the one with the highest of `ratings` over the one with the lowest; the others, and "
    "those without a rating, are unused",
    convert=_generations,
)
