"""Pairs that nearly repeat an earlier one: MinHash over word trigrams finds candidates, their exact overlap decides."""

from collections.abc import Sequence

import numpy as np

from pipeline.data.word_trigrams import runs_of, words_of


def find_near_duplicates(texts: Sequence[str], keys: np.ndarray, *, similarity: float) -> np.ndarray:
    """Whether each text nearly repeats an earlier one: (N,) booleans.

    Similarity is the Jaccard overlap of the sets of word trigrams. A text is compared with the earliest one that has
    the same key in a band.

    Args:
        texts: texts with at least one trigram; each is read only where it is compared.
        keys: their keys, from `band_keys`: (N, BANDS).
        similarity: the overlap from which on a text is a near duplicate, in (0, 1].
    """
    repeats = np.zeros(len(texts), dtype=bool)
    earliest: list[np.ndarray] = []
    for band in keys.T:
        # stable: of equal keys the earliest text comes first
        order = np.argsort(band, kind="stable")
        begins = np.r_[True, band[order][1:] != band[order][:-1]] if len(order) else np.zeros(0, dtype=bool)
        first = np.empty(len(band), dtype=np.int64)
        first[order] = order[begins][np.cumsum(begins) - 1]
        asked = ~repeats & (first != np.arange(len(band)))
        for tried in earliest:  # with the same text in an earlier band
            asked &= tried != first
        _compare(texts, first, np.flatnonzero(asked), repeats, similarity)
        earliest.append(first)
    return repeats


def _compare(
    texts: Sequence[str], first: np.ndarray, asked: np.ndarray, repeats: np.ndarray, similarity: float
) -> None:
    """Set `repeats` for the texts in `asked` that nearly repeat the `first` text with their key."""
    known, trigrams = -1, set[tuple[bytes, ...]]()
    for later in asked[np.argsort(first[asked], kind="stable")].tolist():
        if first[later] != known:
            known = int(first[later])
            trigrams = trigrams_of(texts[known])
        repeats[later] = overlap(trigrams, trigrams_of(texts[later])) >= similarity


def overlap(first: set[tuple[bytes, ...]], second: set[tuple[bytes, ...]]) -> float:
    """Jaccard overlap of two sets; 0 where both are empty."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared) if first or second else 0.0


def trigrams_of(text: str) -> set[tuple[bytes, ...]]:
    """All runs of three words in a text."""
    return runs_of(words_of(text), 3)
