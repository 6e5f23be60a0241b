"""Pairs from ranked samples."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.data.passages import Passage
from pipeline.data.records import record_id
from pipeline.judges.pointwise import PointwiseJudge
from pipeline.models.decoding import Continuation
from pipeline.preferences.prompts import SplitPrompt
from pipeline.preferences.sampled import rank_samples
from tests.passages import cut, ended

PROMPTS = [
    SplitPrompt(id=f"p{i}", prompt=f"Prompt {i}:", category=f"kind {i}", split=split)
    for i, split in enumerate(("train", "test", "train"))
]


class Stars(PointwiseJudge):
    """A judge that counts stars and remembers what it read."""

    def __init__(self) -> None:
        super().__init__(self.count)
        self.read: list[Passage] = []

    def count(self, texts: Sequence[Passage]) -> np.ndarray:
        self.read += texts
        return np.array([one.text.count("*") / 10 for one in texts])


def samples(*texts: str) -> list[Continuation]:
    return [Continuation(text, ended="." in text, tokens=3) for text in texts]


DRAWN = samples(" a *.", " b ***", " c **", " d", " e", " f", " g *", " h **.", " i ***")


def test_the_best_and_the_worst_sample_become_a_pair() -> None:
    judge = Stars()
    pairs, ties = rank_samples(PROMPTS, DRAWN, judge, copies=3, min_margin=0.1)
    assert ties == 1
    assert [(pair.prompt_id, pair.chosen, pair.rejected) for pair in pairs] == [
        ("p0", " b ***", " a *."),
        ("p2", " i ***", " g *"),
    ]
    assert judge.read[:3] == [*ended(["Prompt 0: a *."]), *cut(["Prompt 0: b ***", "Prompt 0: c **"])]
    assert judge.read[3].text == "Prompt 1: d"
    first = pairs[0]
    assert first.id == record_id("Prompt 0:", " b ***", " a *.")
    assert (first.chosen_ended, first.rejected_ended) == (False, True)
    assert (first.chosen_score, first.rejected_score, first.margin) == (0.3, 0.1, 0.2)
    assert (first.split, first.source, first.prompt) == ("train", "sampled", "Prompt 0:")
    assert [pair.category for pair in pairs] == ["kind 0", "kind 2"]


@pytest.mark.parametrize(("min_margin", "pairs"), [(0.0, 2), (0.19, 2), (0.21, 0)])
def test_prompts_below_the_margin_are_ties(min_margin: float, pairs: int) -> None:
    found, ties = rank_samples(PROMPTS, DRAWN, Stars(), copies=3, min_margin=min_margin)
    assert (len(found), ties) == (pairs, 3 - pairs)


def test_the_order_of_the_samples_does_not_decide_who_wins() -> None:
    backwards = [one for start in (0, 3, 6) for one in DRAWN[start : start + 3][::-1]]
    pairs, _ = rank_samples(PROMPTS, backwards, Stars(), copies=3, min_margin=0.1)
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [(" b ***", " a *."), (" i ***", " g *")]


def test_too_few_samples_raise() -> None:
    with pytest.raises((ValueError, IndexError)):
        rank_samples(PROMPTS, DRAWN[:-1], Stars(), copies=3, min_margin=0.0)


class Known(PointwiseJudge):
    """A judge whose ranks are given; NaN where it could not tell."""

    def __init__(self, ranks: list[list[float]]) -> None:
        super().__init__(lambda texts: np.zeros(len(texts)))
        self.ranks = ranks

    def rank(self, prompts: Sequence[str], samples: Sequence[Sequence[Passage]]) -> np.ndarray:
        return np.array(self.ranks)


def test_samples_that_the_judge_could_not_rank_are_in_no_pair() -> None:
    unknown = float("nan")
    ranks = [[unknown, 0.75, 0.25], [unknown] * 3, [unknown, unknown, 1.0]]
    pairs, ties = rank_samples(PROMPTS, DRAWN, Known(ranks), copies=3, min_margin=0.1)
    assert [(pair.chosen, pair.rejected, pair.margin) for pair in pairs] == [(" b ***", " c **", 0.5)]
    assert ties == 2
