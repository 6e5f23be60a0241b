"""The pair of a row with several scored responses."""

from collections.abc import Sequence
from typing import Any

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import number, text
from pipeline.reading.layouts.layout import Converted
from pipeline.reading.rows import UNUSED


def best_and_worst(prompt: Any, responses: Sequence[tuple[str, float]], *, scored: bool = True) -> Converted:
    """The first of the best and the first of the worst responses; every other one is unused.

    Args:
        prompt: as the rows of a form have it.
        responses: with their scores, higher for better.
        scored: the scores are given as such; not those that were made of ranks.

    Raises:
        Unreadable: there are fewer than two, or all are equally good.
    """
    if len(responses) < 2:
        raise Unreadable("fewer_than_two_responses", [response for response, _ in responses])
    best = max(responses, key=lambda one: one[1])
    worst = min(responses, key=lambda one: one[1])
    if best[1] == worst[1]:
        raise Unreadable("tie", [score if scored else -score for _, score in responses])
    found = {"prompt": prompt, "chosen": best[0], "rejected": worst[0]}
    scores = {"chosen_score": best[1], "rejected_score": worst[1]} if scored else {}
    return [{**found, **scores}, *({UNUSED: "between_best_and_worst"} for _ in responses[2:])]


def best_and_worst_rated(prompt: Any, responses: Sequence[tuple[Any, Any]]) -> Converted:
    """As `best_and_worst` of responses of which some were not written or have no score: those are unused.

    Args:
        prompt: as the rows of a form have it.
        responses: each a text or None, and a number or None.

    Raises:
        Unreadable: fewer than two have a score, all are equally good, or something else stands there.
    """
    found = [
        (text(response), score)
        for response, given in responses
        if response is not None and (score := number(given)) is not None
    ]
    without = len(responses) - len(found)
    return [*best_and_worst(prompt, found), *({UNUSED: "no_score"} for _ in range(without))]
