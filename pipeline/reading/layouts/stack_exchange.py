"""Questions of StackExchange with their answers: scored, or as pairs."""

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import entries, number, text
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.scores import best_and_worst
from pipeline.reading.rows import Row


def _scored(row: Row) -> Converted:
    answers = []
    for answer in entries(row["answers"], reason="answers_malformed"):
        score = number(answer.get("pm_score"))
        if score is None:
            raise Unreadable("no_score", answer)
        answers.append((text(answer.get("text")), score))
    return best_and_worst(row["question"], answers)


def _paired(row: Row) -> Converted:
    return [{"prompt": row["question"], "chosen": text(row["response_j"]), "rejected": text(row["response_k"])}]


STACK_EXCHANGE_PREFERENCES = Layout(
    name="stack_exchange_preferences",
    origin="huggingface.co/datasets/HuggingFaceH4/stack-exchange-preferences, card; "
    "github.com/eric-mitchell/direct-preference-optimization, preference_datasets.py",
    form="preference_pairs",
    needs=(("question",), ("answers",)),
    coding="of `answers`, the one with the highest `pm_score` (log2(1 + upvotes) rounded, plus 1 when accepted, -1 "
    "when upvotes are negative) over the one with the lowest; the others are unused. Texts keep their HTML",
    convert=_scored,
)
STACK_EXCHANGE_PAIRED = Layout(
    name="stack_exchange_paired",
    origin="huggingface.co/datasets/lvwerra/stack-exchange-paired, card; github.com/modelscope/ms-swift, "
    "swift/dataset/data/dataset_info.json",
    form="preference_pairs",
    needs=(("question",), ("response_j",), ("response_k",)),
    coding="`response_j` over `response_k`",
    convert=_paired,
)
