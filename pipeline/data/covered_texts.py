"""Texts that another text covers: most of their words stand in runs of words that the other has, too."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.word_trigrams import runs_of, trigram_hashes, words_of

NO_HASHES = np.zeros(0, dtype=np.uint32)
LONG = 30
"""Words of a text that is long enough for no unrelated text to cover it by chance."""
RUN, LONG_RUN = 3, 8
"""Words of the shortest run that counts, and of one that is too long for a common phrase."""
_UNSPACED = re.compile("([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")
"""Letters of scripts without spaces, each of which counts as a word: Thai, Burmese, Khmer, Chinese, Japanese."""
Words = list[bytes]


def compared_words(text: str) -> Words:
    """The words of a text as they are compared: without punctuation or case, and in one of the ways of Unicode."""
    if not text.isascii():
        text = _UNSPACED.sub(r" \1 ", unicodedata.normalize("NFKC", text).casefold())
    return words_of(text)


def hashes_of(texts: Sequence[Words]) -> list[np.ndarray]:
    """Hashes of the trigrams of each text, in their order: one array for each text."""
    filled = [words for words in texts if len(words) >= RUN]
    ends = np.cumsum([max(0, len(words) - RUN + 1) for words in texts])
    return np.split(trigram_hashes(filled) if filled else NO_HASHES, ends[:-1]) if texts else []


def covered_share(words: Sequence[bytes], own: np.ndarray, other: Sequence[bytes], *, run: int) -> float:
    """Share of some words of a text that stand in runs of words that another text has, too.

    Args:
        words: the words of the text.
        own: which of them count: (words,) booleans, one of them true at least.
        other: the words of the other text.
        run: the number of words in the shortest run that counts.
    """
    covered, seen = np.zeros(len(words), dtype=bool), runs_of(other, run)
    for at in range(len(words) - run + 1):
        if tuple(words[at : at + run]) in seen:
            covered[at : at + run] = True
    return float((covered & own).sum() / own.sum())


@dataclass(frozen=True)
class Compared:
    """A text that may be covered by another."""

    number: int
    """The number that the caller knows the text by."""
    words: Words
    own: np.ndarray
    """Which words count; those of a template do not: (words,) booleans."""

    @property
    def run(self) -> int:
        """Words of the shortest run that counts in a whole text: common phrases would cover a short text."""
        return RUN if self.own.sum() >= LONG else LONG_RUN


class CoveredTexts:
    """An index of texts by their trigrams, without the most common ones of each text.

    A trigram covers three words, so a text that is covered shares a third as many trigrams as it has words, times
    the threshold, or more. Half of that number, the most common ones, are left out of the index, and the other half has
    to be met: common phrases then lead to no text, and every text that is covered is still found. The index takes as
    much memory as the texts. Two trigrams with the same hash do no harm, because the words decide.
    """

    def __init__(self, texts: Sequence[Compared], template: np.ndarray, *, threshold: float) -> None:
        """Args:
        texts: those that may be covered.
        template: hashes of the trigrams of templates, which do not count.
        threshold: the share of the words of a text, in (0, 1], from which on it is covered.
        """
        self._texts, self._threshold = texts, threshold
        of_each = [
            hashes[(np.convolve(text.own, np.ones(RUN), "valid") > 0) & ~np.isin(hashes, template)]
            for text, hashes in zip(texts, hashes_of([text.words for text in texts]), strict=True)
        ]
        known, texts_with = np.unique(
            np.concatenate([NO_HASHES, *(np.unique(hashes) for hashes in of_each)]), return_counts=True
        )
        sizes = np.array([text.own.sum() for text in texts], dtype=np.int64)
        least = np.ceil(threshold * sizes / RUN - 1e-9).astype(np.int64)
        in_runs = np.array([1 - (RUN - 1) / text.run if text.run > RUN else 1 / RUN for text in texts])
        left_out = least // 2
        # of a prompt, and of a whole text
        self._needed = (least - left_out, np.ceil(threshold * sizes * in_runs - 1e-9).astype(np.int64) - left_out)
        indexed = []
        for hashes, fewer in zip(of_each, left_out.tolist(), strict=True):
            # by rarity, then by value, so that of equals always the same are left out
            order = np.lexsort((hashes, texts_with[np.searchsorted(known, hashes)]))
            indexed.append(hashes[order[: max(0, len(hashes) - fewer)]])
        keys, owners, times = _by_text(indexed)
        order = np.argsort(keys, kind="stable")
        self._keys, self._owners, self._times = keys[order], owners[order], times[order]

    def find(
        self, others: Sequence[Words], *, whole: bool, asked: Callable[[int], bool] = lambda number: True
    ) -> Iterator[tuple[int, Compared, float]]:
        """Each text that another one covers: the position of the other, the text, and the share of its words.

        Args:
            others: the words of each other text.
            whole: the others are whole texts, whose phrases would cover short texts; False for prompts.
            asked: whether the text of a number is still looked for.
        """
        for at, owner in self._candidates(others, self._needed[int(whole)]):
            text = self._texts[owner]
            if not asked(text.number):
                continue
            share = covered_share(text.words, text.own, others[at], run=text.run if whole else RUN)
            if share >= self._threshold:
                yield at, text, share

    def _candidates(self, others: Sequence[Words], needed: np.ndarray) -> Iterator[tuple[int, int]]:
        """Positions in `others` and in the index of texts that have enough trigrams in common, in the order of both."""
        joined, others_of, _ = _by_text(hashes_of(others))
        first = np.searchsorted(self._keys, joined, "left")
        counts = np.searchsorted(self._keys, joined, "right") - first
        # the positions in the index of all entries with each key
        ahead = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = np.repeat(first, counts) + ahead
        pairs = np.repeat(others_of, counts) * max(1, len(needed)) + self._owners[places]
        both, pair_of = np.unique(pairs, return_inverse=True)
        met = np.bincount(pair_of, weights=self._times[places], minlength=len(both))
        found, texts = np.divmod(both, max(1, len(needed)))
        enough = met >= needed[texts]
        yield from zip(found[enough].tolist(), texts[enough].tolist(), strict=True)


def _by_text(hashes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different hashes of each text, the position of their text, and how often the text has each.

    A text that says one word a hundred times has one trigram, and not a hundred that meet a hundred of another text.
    """
    numbers = np.repeat(np.arange(len(hashes), dtype=np.uint64), [len(each) for each in hashes])
    joined = np.concatenate([NO_HASHES, *hashes])
    different, times = np.unique(numbers << np.uint64(32) | joined, return_counts=True)
    return different.astype(np.uint32), (different >> np.uint64(32)).astype(np.int64), times
