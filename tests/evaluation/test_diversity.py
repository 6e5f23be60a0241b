"""Diversity and repetition by hand, and self-BLEU by sacrebleu called as its manual says."""

import sys

import pytest
from sacrebleu import sentence_bleu

from pipeline.evaluation.diversity import MOST_COMPARED, distinct_n, repetition, self_bleu


def test_distinct_n_by_hand() -> None:
    # the cat, cat sat, the cat, cat ran: 3 different of 4
    assert distinct_n(["the cat sat", "the cat ran"], 2) == 0.75
    assert distinct_n(["a b", "c d"], 2) == 1.0
    assert distinct_n(["good good good good"], 1) == 0.25
    assert distinct_n(["the cat sat", "the cat sat", "a b c"], 3) == pytest.approx(2 / 3)
    assert distinct_n(["word", ""], 2) == 0.0


def test_repetition_by_hand() -> None:
    # a b a, b a b, a b a, b a b: 2 different of 4; x y z and y z w: none again; the third is too short
    assert repetition(["a b a b a b", "x y z w", "a b"], 3) == pytest.approx((0.5 + 0.0) / 2)
    assert repetition(["a b", ""], 3) == 0.0
    # between texts it is distinct_n that counts, not this
    assert repetition(["a b c", "a b c"], 3) == 0.0


def test_self_bleu_is_the_mean_of_sentence_bleu_against_the_others() -> None:
    texts = ["the cat sat on the mat.", "the cat ran on the mat!", "a dog ate my homework, again", "yes"]
    expected = [
        sentence_bleu(text, [other for other in texts if other is not text], use_effective_order=True).score / 100
        for text in texts
    ]
    assert self_bleu(texts) == pytest.approx(sum(expected) / 4)
    assert 0 < self_bleu(texts) < 1


def test_self_bleu_at_its_ends() -> None:
    assert self_bleu(["it is a good film"] * 3) == pytest.approx(1.0)
    assert self_bleu(["a b c d", "e f g h"]) == pytest.approx(0.0)
    assert self_bleu(["", ""]) == 0.0
    assert self_bleu(["alone"]) is None and self_bleu([]) is None


def test_self_bleu_takes_the_same_prompts_of_many() -> None:
    many = [f"film number {index} was shown in room {index % 7}" for index in range(2 * MOST_COMPARED - 1)]
    # every second one is taken, from the first to the last
    assert self_bleu(many) == self_bleu(many[::2])
    changed = [text if index % 2 == 0 else "" for index, text in enumerate(many)]
    assert self_bleu(changed) == self_bleu(many)


def test_the_library_is_loaded_when_it_is_needed() -> None:
    source = sys.modules["pipeline.evaluation.diversity"]
    assert "BLEU" not in vars(source)
