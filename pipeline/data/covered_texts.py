"""Which texts are for the most part made of runs of words that another text has, too."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.word_trigrams import runs_of, trigram_hashes, words_of

NO_HASHES = np.zeros(0, dtype=np.uint32)
LONG = 30
"""Words from which on no text of another origin covers a text by chance."""
RUN, LONG_RUN = 3, 8
"""Words of a run; of one that is no phrase."""
_UNSPACED = re.compile("([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")
"""Letters of scripts without spaces, each of which counts as a word: Thai, Burmese, Khmer, Chinese, Japanese."""
Words = list[bytes]


def compared_words(text: str) -> Words:
    """Words as they are compared: without punctuation, case, and the ways in which Unicode writes the same."""
    if not text.isascii():
        text = _UNSPACED.sub(r" \1 ", unicodedata.normalize("NFKC", text).casefold())
    return words_of(text)


def hashes_of(texts: Sequence[Words]) -> list[np.ndarray]:
    """Of the trigrams of each text, in their order."""
    filled = [words for words in texts if len(words) >= RUN]
    ends = np.cumsum([max(0, len(words) - RUN + 1) for words in texts])
    return np.split(trigram_hashes(filled) if filled else NO_HASHES, ends[:-1]) if texts else []


def covered_share(words: Sequence[bytes], own: np.ndarray, other: Sequence[bytes], *, run: int) -> float:
    """Share of some words of a text that stand in runs of words that another text has, too.

    Args:
        words: of the text.
        own: which of them count: (words,) booleans, one of them true at least.
        other: words of the other text.
        run: words of the shortest run that counts.
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
    """Of what it belongs to."""
    words: Words
    own: np.ndarray
    """Which words count, because they are not of a template: (words,) booleans."""

    @property
    def run(self) -> int:
        """Words of the shortest run of a whole text that counts: phrases of many a text cover a short one."""
        return RUN if self.own.sum() >= LONG else LONG_RUN


class CoveredTexts:
    """Texts by their trigrams, without the most common ones of each.

    A trigram covers three words, so a text that is covered shares a third as many trigrams as it has words, times
    the threshold, or more. Half as many, the most common ones, are left out of the index, and the others of that number
    have to be met: common phrases then lead to no text, and every text that is covered is still found. Its memory is
    that of the texts, and a hash that two trigrams share misleads nothing, because the words decide.
    """

    def __init__(self, texts: Sequence[Compared], template: np.ndarray, *, threshold: float) -> None:
        """Args:
        texts: that may be covered.
        template: hashes of trigrams that cover nothing that counts.
        threshold: the share of their words from which on they are covered, in (0, 1].
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
        """What others cover: the position of one of them, the text, and the share of its words.

        Args:
            others: words of each.
            whole: they are whole texts, and no prompts, of which the phrases count, too.
            asked: whether a text is still looked for, by its number.
        """
        for at, owner in self._candidates(others, self._needed[int(whole)]):
            text = self._texts[owner]
            if not asked(text.number):
                continue
            share = covered_share(text.words, text.own, others[at], run=text.run if whole else RUN)
            if share >= self._threshold:
                yield at, text, share

    def _candidates(self, others: Sequence[Words], needed: np.ndarray) -> Iterator[tuple[int, int]]:
        """Positions of others and texts that have as many trigrams in common as are needed, in the order of both."""
        joined, others_of, _ = _by_text(hashes_of(others))
        first = np.searchsorted(self._keys, joined, "left")
        counts = np.searchsorted(self._keys, joined, "right") - first
        # the places in the index of all entries with each key
        ahead = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = np.repeat(first, counts) + ahead
        pairs = np.repeat(others_of, counts) * max(1, len(needed)) + self._owners[places]
        both, pair_of = np.unique(pairs, return_inverse=True)
        met = np.bincount(pair_of, weights=self._times[places], minlength=len(both))
        found, texts = np.divmod(both, max(1, len(needed)))
        enough = met >= needed[texts]
        yield from zip(found[enough].tolist(), texts[enough].tolist(), strict=True)


def _by_text(hashes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different hashes of each text, the position of the text, and how often it has them.

    A text that says one word a hundred times has one trigram, and not a hundred that meet a hundred of the next.
    """
    numbers = np.repeat(np.arange(len(hashes), dtype=np.uint64), [len(each) for each in hashes])
    joined = np.concatenate([NO_HASHES, *hashes])
    different, times = np.unique(numbers << np.uint64(32) | joined, return_counts=True)
    return different.astype(np.uint32), (different >> np.uint64(32)).astype(np.int64), times
