"""Diversity: how much the responses of a policy repeat each other, and how much each repeats itself."""

from collections.abc import Iterator, Sequence

import numpy as np

MOST_COMPARED = 100
"""The most responses that self-BLEU is computed of: each is compared with all others."""


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Different word n-grams over all word n-grams of all texts (Li et al. 2016, arXiv:1510.03055); 0 without any."""
    ngrams = [ngram for text in texts for ngram in _ngrams(text, n)]
    return len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def repetition(texts: Sequence[str], n: int) -> float:
    """Share of a text's word n-grams that stood in it before, 1 - different / all, mean over texts.

    It is seq-rep-n of Welleck et al. 2019 (arXiv:1908.04319) on words. Texts of fewer than n words have no
    n-gram and are left out; 0 where there is no other.
    """
    found = [list(_ngrams(text, n)) for text in texts]
    shares = [1 - len(set(ngrams)) / len(ngrams) for ngrams in found if ngrams]
    return float(np.mean(shares)) if shares else 0.0


def _ngrams(text: str, n: int) -> Iterator[tuple[str, ...]]:
    words = text.split()
    return (tuple(words[start : start + n]) for start in range(len(words) - n + 1))


def self_bleu(texts: Sequence[str]) -> float | None:
    """Mean BLEU-4 of each text with all others as its references, 0 to 1; 1 where all are the same (Zhu et al. 2018,
    arXiv:1802.01886).

    Of more than `MOST_COMPARED` texts, so many at even distances are taken: the same prompts for every policy, and
    under a second, where the time grows with the square of their number. The value grows with it, too: compare
    policies on the same prompts only.
    BLEU is sacrebleu's for sentences: its tokenizer 13a, exponential smoothing, and of texts of fewer than four words
    the orders that they have.

    Returns:
        None with fewer than two texts.
    """
    if len(texts) < 2:
        return None
    # this library takes a while to load, and stages that ask for help need not wait
    from sacrebleu.metrics import BLEU

    chosen = np.linspace(0, len(texts) - 1, min(len(texts), MOST_COMPARED)).round().astype(int)
    taken = [texts[index] for index in chosen]
    bleu = BLEU(effective_order=True)
    scores = [
        bleu.sentence_score(text, [*taken[:index], *taken[index + 1 :]]).score for index, text in enumerate(taken)
    ]
    return float(np.mean(scores)) / 100
