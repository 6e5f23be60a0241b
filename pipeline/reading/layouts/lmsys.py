"""Chatbot Arena as Kaggle has it: conversations with two models, and who won in three columns."""

from collections.abc import Sequence
from typing import Any

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import text, whole
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.turns import Turns
from pipeline.reading.rows import Row
from pipeline.reading.written_messages import structure

_WINNERS = {"winner_model_a": "a", "winner_model_b": "b", "winner_tie": "tie"}


def _said(value: Any) -> list[str]:
    found = structure(value)
    if not isinstance(found, Sequence) or isinstance(found, str) or not found:
        raise Unreadable("no_list_of_turns", value)
    return [text(one) for one in found]


def _conversation(prompts: list[str], answers: list[str]) -> Turns:
    if len(prompts) != len(answers):
        raise Unreadable("turns_without_an_answer", prompts, answers)
    turns = zip(prompts, answers, strict=True)
    return [
        {"role": role, "content": words}
        for turn in turns
        for role, words in zip(("user", "assistant"), turn, strict=True)
    ]


def _convert(row: Row) -> Converted:
    won = [winner for name, winner in _WINNERS.items() if whole(row[name], (0, 1))]
    if len(won) != 1:
        raise Unreadable("not_one_winner", {name: row[name] for name in _WINNERS})
    prompts = _said(row["prompt"])
    first, second = (_conversation(prompts, _said(row[name])) for name in ("response_a", "response_b"))
    return [{"response_a": first, "response_b": second, "winner": won[0]}]


LMSYS = Layout(
    name="lmsys_kaggle",
    origin="github.com/openai/mle-bench, mlebench/competitions/lmsys-chatbot-arena/description.md",
    form="comparisons",
    needs=(("prompt",), ("response_a",), ("response_b",), *((name,) for name in _WINNERS)),
    coding="the one of `winner_model_a`, `winner_model_b` and `winner_tie` that is 1; prompts and responses are lists "
    "of turns, and a row whose models differ before the last turn is dropped",
    convert=_convert,
)
