"""Accuracy in groups, by size of the margin, at equal length, and against the judge: all worked by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.pairs import (
    accuracy_by_group,
    accuracy_by_size,
    accuracy_of,
    groups_of,
    judge_agreement,
    length_matched_accuracy,
    margin_bins,
    prompt_numbers,
)
from pipeline.evaluation.statistics import design_effect, wilson_interval
from pipeline.preferences.pair import Origin, PreferencePair
from tests.preference_pairs import preference_pair


def pair(
    *,
    lengths: tuple[int, int] = (1, 1),
    judge: float | None = None,
    source: str = "given",
    category: str = "all",
    prompt: str = "p",
) -> PreferencePair:
    chosen, rejected = (letter * length for letter, length in zip("ab", lengths, strict=True))
    return preference_pair(prompt, chosen, rejected, margin=judge, source=source, category=category)


def means(table: list[dict[str, Any]]) -> list[tuple[float, int]]:
    return [(row.accuracy.mean, row.pairs) for row in table]


def test_a_pair_is_in_the_groups_of_its_source_its_kind_and_its_file() -> None:
    sampled = preference_pair("p ", "good", "bad", source="sampled", category="chat")
    assert groups_of(sampled) == {"source": "sampled", "category": "chat"}
    given = replace(sampled, source="given", origin=Origin("data/raw/a.jsonl", (3,)))
    assert groups_of(given) == {"source": "given", "category": "chat", "file": "data/raw/a.jsonl"}


def test_every_group_has_its_accuracy_and_its_pairs() -> None:
    math, chat, sampled = pair(category="math"), pair(category="chat"), pair(category="math")
    math, chat = (replace(one, origin=Origin("a.jsonl", (1,))) for one in (math, chat))
    table = accuracy_by_group(np.array([1.0, -1.0, 2.0]), [math, chat, sampled])
    # the source says nothing that the total does not; the sampled pair is from no file
    assert [(row.field, row.value) for row in table] == [
        ("file", "a.jsonl"),
        ("category", "chat"),
        ("category", "math"),
    ]
    assert means(table) == [(0.5, 2), (0.0, 1), (1.0, 2)]


def test_bins_hold_equal_numbers_of_pairs_in_the_order_of_their_size() -> None:
    margins = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    table = accuracy_by_size(margins, np.array([5.0, 1.0, 3.0, 4.0, 2.0]), bins=2)
    assert [(row.low, row.high) for row in table] == [(1.0, 3.0), (4.0, 5.0)]
    assert means(table) == [(pytest.approx(1 / 3), 3), (1.0, 2)]
    assert sum(row.pairs for row in accuracy_by_size(margins, np.ones(5), bins=9)) == 5


def test_margin_bins_of_the_judge_need_a_judge() -> None:
    by_judge, by_model = margin_bins(np.array([1.0, -3.0]), [pair(), pair(judge=-0.5)], bins=4)
    assert [(row.low, row.pairs) for row in by_judge] == [(0.5, 1)]
    assert [row.high for row in by_model] == [1.0, 3.0]
    assert margin_bins(np.array([1.0]), [pair()], bins=4)[0] == []


def test_length_matched_pairs_are_those_within_the_ratio_either_way() -> None:
    pairs = [pair(lengths=lengths) for lengths in ((11, 10), (10, 11), (12, 10), (10, 12), (0, 0), (1, 0))]
    matched = length_matched_accuracy(np.array([1.0, -1.0, 1.0, 1.0, 1.0, 1.0]), pairs, max_ratio=1.1)
    assert matched.pairs == 3 and matched.accuracy.mean == pytest.approx(2 / 3)
    assert length_matched_accuracy(np.array([1.0]), pairs[2:3], max_ratio=1.1).as_json() == {
        "accuracy": None,
        "pairs": 0,
    }


def test_agreement_with_the_judge_by_hand() -> None:
    pairs = [pair(judge=margin) for margin in (0.1, 0.2, 0.4)] + [pair()]
    found = judge_agreement(np.array([1.0, -2.0, 3.0, -9.0]), pairs)
    assert found is not None and found.pairs == 3
    # ranks of the judge 1 2 3, of the model 2 1 3: 1 - 6 * (1 + 1 + 0) / (3 * 8)
    assert found.spearman == pytest.approx(0.5)
    assert found.weighted_accuracy == pytest.approx((0.1 + 0.4) / 0.7)
    assert judge_agreement(np.array([1.0]), [pair()]) is None
    assert judge_agreement(np.zeros(3), pairs[:3]).as_json() == {"pairs": 3, "spearman": None, "weighted_accuracy": 0.0}


def test_pairs_of_a_prompt_have_its_number() -> None:
    numbers = prompt_numbers([pair(prompt=one) for one in ("a", "c", "b", "a", "d")])
    assert numbers.tolist() == [0, 1, 2, 0, 4]


def test_every_accuracy_counts_pairs_of_a_prompt_as_fewer() -> None:
    """Two groups of 40 pairs, of each prompt four: all right, or all wrong."""
    right = np.repeat(np.random.default_rng(0).random(20) < 0.7, 4)
    margins = np.where(right, 1.0, -1.0) * np.linspace(1, 2, 80)
    alone = [pair(judge=1.0, source=("given", "sampled")[at // 40], prompt=f"own {at}") for at in range(80)]
    pairs = [replace(one, prompt=f"p{at // 4}") for at, one in enumerate(alone)]
    effect = design_effect(right, np.arange(80) // 4)
    whole = wilson_interval(int(right.sum()), 80, design_effect=effect)
    assert effect > 4 and accuracy_of(margins, prompt_numbers(pairs)) == whole
    assert accuracy_of(margins) == accuracy_of(margins, prompt_numbers(alone)) == wilson_interval(int(right.sum()), 80)
    assert length_matched_accuracy(margins, pairs, max_ratio=1.0).accuracy == whole
    (half,) = {row.pairs for row in accuracy_by_group(margins, pairs)}
    assert half == 40
    for table in (accuracy_by_group, lambda m, p: margin_bins(m, p, bins=2)[0],
                  lambda m, p: margin_bins(m, p, bins=2)[1]):  # fmt: skip
        for ours, theirs in zip(table(margins, pairs), table(margins, alone), strict=True):
            widths = [one.accuracy.high - one.accuracy.low for one in (ours, theirs)]
            assert ours.accuracy.mean == theirs.accuracy.mean and widths[0] > 1.4 * widths[1]
