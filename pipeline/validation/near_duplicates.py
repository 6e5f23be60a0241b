"""Pairs that nearly repeat an earlier one: MinHash over word trigrams finds candidates, their exact overlap decides."""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

_BATCH = 10_000
_BANDS, _ROWS = 8, 4
"""Of a pair with similarity s, 1 - (1 - s^4)^8 is the chance to become a candidate: 0.98 at 0.8, 0.17 at 0.4."""
_PRIME = np.uint64(2**31 - 1)
_FEATURES = 2**22
_WORD = r"(?u)\w+"


def find_near_duplicates(texts: Sequence[str], *, similarity: float) -> np.ndarray:
    """Whether each text nearly repeats an earlier one: (N,) booleans.

    Similarity is the Jaccard overlap of the sets of word trigrams, case folded (Broder 1997). A text is compared with
    the earliest one that shares a band of its MinHash signature (Leskovec et al., Mining of Massive Datasets, 3.4).

    Args:
        similarity: from which overlap on, in (0, 1].
    """
    repeats = np.zeros(len(texts), dtype=bool)
    if not len(texts):
        return repeats
    signatures = _signatures(texts)
    for band in range(_BANDS):
        keys = _band_keys(signatures[:, band * _ROWS : (band + 1) * _ROWS])
        # stable: of equal keys the earliest text comes first
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]])
        for start, stop in zip(starts, np.r_[starts[1:], len(order)], strict=True):
            for later in order[start + 1 : stop]:
                if not repeats[later]:
                    repeats[later] = overlap(texts[order[start]], texts[later]) >= similarity
    return repeats


def _signatures(texts: Sequence[str]) -> np.ndarray:
    """MinHash signatures (N, bands * rows); a text without a trigram has its own."""
    vectorizer = HashingVectorizer(
        n_features=_FEATURES, ngram_range=(3, 3), token_pattern=_WORD, norm=None, alternate_sign=False, binary=True
    )
    rng = np.random.default_rng(0)
    factors = rng.integers(1, int(_PRIME), _BANDS * _ROWS, dtype=np.uint64)
    offsets = rng.integers(0, int(_PRIME), _BANDS * _ROWS, dtype=np.uint64)
    signatures = np.empty((len(texts), _BANDS * _ROWS), dtype=np.uint32)
    for start in range(0, len(texts), _BATCH):
        counts = vectorizer.transform(texts[start : start + _BATCH])
        filled = np.diff(counts.indptr) > 0
        rows = np.arange(start, start + counts.shape[0])
        signatures[rows[~filled]] = rows[~filled, None]
        if not filled.any():
            continue
        features = counts.indices.astype(np.uint64)
        for number, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            hashed = ((factor * features + offset) % _PRIME).astype(np.uint32)
            signatures[rows[filled], number] = np.minimum.reduceat(hashed, counts.indptr[:-1][filled])
    return signatures


def _band_keys(band: np.ndarray) -> np.ndarray:
    """One number for each row of a band (N, rows)."""
    keys = np.zeros(len(band), dtype=np.uint64)
    for column in band.T:
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + column.astype(np.uint64) + np.uint64(1)
    return keys


def overlap(one: str, other: str) -> float:
    """Jaccard overlap of the word trigrams of two texts; 0 where neither has one."""
    first, second = _trigrams(one), _trigrams(other)
    return len(first & second) / len(first | second) if first or second else 0.0


def _trigrams(text: str) -> set[tuple[str, ...]]:
    words = "".join(character if character.isalnum() or character == "_" else " " for character in text.lower()).split()
    return set(zip(words, words[1:], words[2:], strict=False))
