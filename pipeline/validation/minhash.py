"""MinHash signatures of the word trigrams of many texts at once."""

from collections.abc import Sequence

import numpy as np

from pipeline.data.word_trigrams import trigram_hashes, words_of

BANDS = 8
_ROWS = 4
"""Hash values in a band. Two texts of similarity s share a band with probability 1 - (1 - s^4)^8: 0.98 at 0.8, 0.17 at
0.4."""
_PRIME = np.uint64(2**31 - 1)
_FEATURES = 2**22
_BLOCK = 2**15
"""Trigrams that are hashed at once; their arrays fit into a core's cache."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def band_keys(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Keys by which near duplicates are found, (N, BANDS), and whether each text has a trigram at all, (N,).

    Two texts with the overlap s of their trigrams (Jaccard) have an equal key in each band with probability s^4
    (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4).
    """
    keys = np.zeros((len(texts), BANDS), dtype=np.uint64)
    filled = np.zeros(len(texts), dtype=bool)
    block: list[list[bytes]] = []
    start = size = 0
    for at, text in enumerate(texts):
        words = words_of(text)
        block.append(words)
        size += len(words)
        if size >= _BLOCK or at + 1 == len(texts):
            keys[start : at + 1], filled[start : at + 1] = _block_keys(block)
            block, start, size = [], at + 1, 0
    return keys, filled


def _block_keys(block: Sequence[Sequence[bytes]]) -> tuple[np.ndarray, np.ndarray]:
    counts = np.array([max(0, len(words) - 2) for words in block])
    filled = counts > 0
    keys = np.zeros((len(block), BANDS), dtype=np.uint64)
    if filled.any():
        features = _features([words for words in block if len(words) > 2])
        starts = np.concatenate([[0], np.cumsum(counts[filled])[:-1]])
        keys[filled] = _bands(_signatures(features, starts))
    return keys, filled


def _features(block: Sequence[Sequence[bytes]]) -> np.ndarray:
    """A number below _FEATURES for each trigram of each text."""
    hashed = trigram_hashes(block)
    return np.abs(hashed.view(np.int32).astype(np.int64)).astype(np.uint64) % np.uint64(_FEATURES)


def _signatures(features: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The smallest value of each hash function over the trigrams of each text: (N, bands * rows)."""
    rng = np.random.default_rng(0)
    factors = rng.integers(1, int(_PRIME), BANDS * _ROWS, dtype=np.uint64)
    offsets = rng.integers(0, int(_PRIME), BANDS * _ROWS, dtype=np.uint64)
    signatures = np.empty((len(starts), BANDS * _ROWS), dtype=np.uint64)
    for number, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
        values = features * factor
        values += offset
        # modulo 2^31 - 1, of numbers below 2^54
        values = (values & _PRIME) + (values >> np.uint64(31))
        np.minimum(values, values - _PRIME, out=values)
        signatures[:, number] = np.minimum.reduceat(values, starts)
    return signatures


def _bands(signatures: np.ndarray) -> np.ndarray:
    """One key for the values of each band: (N, BANDS)."""
    keys = np.zeros((len(signatures), BANDS), dtype=np.uint64)
    for row in range(_ROWS):
        keys = keys * _GOLDEN + signatures[:, row::_ROWS] + np.uint64(1)
    return keys
