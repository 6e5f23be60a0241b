"""Words of texts, and a hash of every three that follow each other, by which near duplicates are found."""

import re
from collections.abc import Sequence

import numpy as np

_OTHER = re.compile(r"[^\w\x00-\x7f]")
_WORDS = bytes(code if code > 127 or re.match(r"\w", chr(code)) else ord(" ") for code in range(256))
_U = np.uint32
_TAILS = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], dtype=_U)


def words_of(text: str) -> list[bytes]:
    """The words of a text: runs of letters, digits and underscores, in lower case, in UTF-8."""
    lower = text.lower()
    if not lower.isascii():
        lower = _OTHER.sub(" ", lower)
    return lower.encode().translate(_WORDS).split()


def runs_of(words: Sequence[bytes], size: int) -> set[tuple[bytes, ...]]:
    """Every run of `size` words that follow each other."""
    return set(zip(*(words[at:] for at in range(size)), strict=False))


def trigram_hashes(block: Sequence[Sequence[bytes]]) -> np.ndarray:
    """The MurmurHash3 (32 bits, seed 0) of every trigram, written with spaces between its words, text by text.

    Args:
        block: the words of each text, which are three or more.

    Returns:
        (trigrams,) uint32: two fewer than the words of each text, added up.
    """
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
    return _murmur(buffer, starts[first], spaces[first + 2] - starts[first])


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
