"""Signatures of word trigrams, against scikit-learn's hashing and plain loops."""

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from pipeline.data.word_trigrams import words_of
from pipeline.validation import minhash
from pipeline.validation.minhash import BANDS, band_keys

_PRIME = 2**31 - 1
TEXTS = st.lists(st.text(alphabet="ab_Z9 .\n\u00e9\u0130\u00df\u6f22\u0301\u2019", max_size=60), min_size=1, max_size=8)


def plain_keys(text: str) -> list[int] | None:
    """The same as in the definition, a trigram at a time."""
    words = re.findall(r"\w+", text.lower())
    trigrams = [" ".join(words[at : at + 3]) for at in range(len(words) - 2)]
    features = {abs(int(murmurhash3_32(trigram.encode(), seed=0))) % 2**22 for trigram in trigrams}
    rng = np.random.default_rng(0)
    factors, offsets = (rng.integers(low, _PRIME, 4 * BANDS, dtype=np.uint64).tolist() for low in (1, 0))
    if not features:
        return None
    signature = [
        min((factor * feature + offset) % _PRIME for feature in features)
        for factor, offset in zip(factors, offsets, strict=True)
    ]
    keys = []
    for band in range(BANDS):
        key = 0
        for value in signature[4 * band : 4 * band + 4]:
            key = (key * 0x9E3779B97F4A7C15 + value + 1) % 2**64
        keys.append(key)
    return keys


def check(texts: Sequence[str]) -> None:
    keys, filled = band_keys(texts)
    for text, found, has_trigram in zip(texts, keys.tolist(), filled.tolist(), strict=True):
        assert (found if has_trigram else None) == plain_keys(text)


@given(TEXTS)
def test_keys_are_those_of_the_definition(texts: list[str]) -> None:
    check(texts)


def test_long_words_and_block_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["x" * 3000 + " b c d", "", "one two three four five", "a", *["w1 w2 w3 w4"] * 5]
    for block in (1, 3, 4, 10**6):
        monkeypatch.setattr(minhash, "_BLOCK", block)
        check(texts)


@given(st.text(max_size=40))
def test_words_are_runs_of_letters_digits_and_underscores(text: str) -> None:
    assert [word.decode() for word in words_of(text)] == re.findall(r"\w+", text.lower())
