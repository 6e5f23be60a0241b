"""Near duplicates by MinHash against the overlap of every two texts."""

import random

import numpy as np
import pytest

from pipeline.validation.minhash import band_keys
from pipeline.validation.near_duplicates import find_near_duplicates, overlap, trigrams_of

WORDS = [f"word{number}" for number in range(400)]


def changed(text: str, count: int, rng: random.Random) -> str:
    words = text.split()
    for at in rng.sample(range(len(words)), count):
        words[at] = rng.choice(WORDS)
    return " ".join(words)


def similarity(one: str, other: str) -> float:
    return overlap(trigrams_of(one), trigrams_of(other))


def repeats(texts: list[str], threshold: float) -> np.ndarray:
    return find_near_duplicates(texts, band_keys(texts)[0], similarity=threshold)


def test_overlap_by_hand() -> None:
    # trigrams abc bcd against abc bce: one of three
    assert similarity("a b c d", "A, b! C e") == pytest.approx(1 / 3)
    assert similarity("a b", "a b") == 0.0


def test_the_same_are_found_as_by_comparing_every_two() -> None:
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=60)) for _ in range(60)]
    texts += [changed(texts[number], 1, rng) for number in range(0, 60, 2)]
    texts += [changed(texts[number], 20, rng) for number in range(1, 60, 2)]
    expected = [any(similarity(one, text) >= 0.8 for one in texts[:at]) for at, text in enumerate(texts)]
    assert sum(expected) > 20
    found = repeats(texts, 0.8)
    assert not (found & ~np.array(expected)).any(), "what is no near duplicate is never called one"
    assert (found & expected).sum() >= 0.9 * sum(expected)


def test_the_first_of_equals_stays() -> None:
    assert repeats(["a b c d e", "x y z q r", "a b c d e"], 1.0).tolist() == [False, False, True]


def test_texts_without_trigrams_are_known() -> None:
    assert band_keys(["", "a", "a b", "a b c", "\u2014 \u2026 !"])[1].tolist() == [False, False, False, True, False]
    assert repeats([], 0.5).tolist() == []
