"""MinHash signatures of word trigrams, of many texts at once."""

import re
from collections.abc import Sequence

import numpy as np

BANDS = 8
_ROWS = 4
"""Of a pair with similarity s, 1 - (1 - s^4)^8 is the chance to share a band: 0.98 at 0.8, 0.17 at 0.4."""
_PRIME = np.uint64(2**31 - 1)
_FEATURES = 2**22
_BLOCK = 2**15
"""Trigrams that are hashed at once; their arrays fit into a core's cache."""
_OTHER = re.compile(r"[^\w\x00-\x7f]")
_WORDS = bytes(code if code > 127 or re.match(r"\w", chr(code)) else ord(" ") for code in range(256))
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_U = np.uint32
_TAILS = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], dtype=_U)


def words_of(text: str) -> list[bytes]:
    """Runs of letters, digits and underscores, in lower case, in UTF-8."""
    lower = text.lower()
    if not lower.isascii():
        lower = _OTHER.sub(" ", lower)
    return lower.encode().translate(_WORDS).split()


def band_keys(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What near duplicates share: keys (N, BANDS), and whether each text has a trigram at all (N,).

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
    """A number below _FEATURES for each trigram of each text: the hash of its words with a space between them."""
    joined = b" ".join([b" ".join(words) for words in block])
    buffer = np.frombuffer(joined + b"    ", dtype=np.uint8)
    spaces = np.flatnonzero(buffer[: len(joined) + 1] == ord(" "))
    starts = np.concatenate([[0], spaces[:-1] + 1])
    # the last two words of a text begin no trigram
    lengths = np.array([len(words) for words in block])
    begins = np.ones(len(starts), dtype=bool)
    ends = np.cumsum(lengths)
    begins[ends - 1] = begins[ends - 2] = False
    first = np.flatnonzero(begins)
    hashed = _murmur(buffer, starts[first], spaces[first + 2] - starts[first])
    return np.abs(hashed.view(np.int32).astype(np.int64)).astype(np.uint64) % np.uint64(_FEATURES)


def _murmur(buffer: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """MurmurHash3 (x86, 32 bits, seed 0) of parts of a buffer, which has 4 bytes more than they need."""
    fours = buffer[:-3].astype(_U)
    for shift in (1, 2, 3):
        fours |= buffer[shift : len(buffer) - 3 + shift].astype(_U) << _U(8 * shift)
    blocks = sizes // 4
    hashed = np.zeros(len(starts), dtype=_U)
    active = np.arange(len(starts))
    for number in range(int(blocks.max(initial=0))):
        active = active[blocks[active] > number]
        mixed = hashed[active] ^ _scrambled(fours[starts[active] + 4 * number])
        hashed[active] = _rotated(mixed, 13) * _U(5) + _U(0xE6546B64)
    hashed ^= _scrambled(fours[starts + 4 * blocks] & _TAILS[sizes % 4])
    hashed ^= sizes.astype(_U)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashed = (hashed ^ (hashed >> _U(shift))) * _U(factor)
    return hashed ^ (hashed >> _U(16))


def _scrambled(values: np.ndarray) -> np.ndarray:
    return _rotated(values * _U(0xCC9E2D51), 15) * _U(0x1B873593)


def _rotated(values: np.ndarray, bits: int) -> np.ndarray:
    return (values << _U(bits)) | (values >> _U(32 - bits))


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
    """One number for the values of each band."""
    keys = np.zeros((len(signatures), BANDS), dtype=np.uint64)
    for row in range(_ROWS):
        keys = keys * _GOLDEN + signatures[:, row::_ROWS] + np.uint64(1)
    return keys
