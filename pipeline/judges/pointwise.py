"""A judge that scores single texts: one response is better than another when its raw score is higher."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.data.passages import Passage
from pipeline.judges.protocol import VerdictRecord


def _as_it_is(scores: np.ndarray) -> np.ndarray:
    return scores


class PointwiseJudge:
    """Compares by raw scores; rates and ranks by the same scores on a scale from 0 to 1."""

    def __init__(
        self,
        raw_scores: Callable[[Sequence[Passage]], np.ndarray],
        to_unit: Callable[[np.ndarray], np.ndarray] = _as_it_is,
    ) -> None:
        """Args:
        raw_scores: scores (N,) of texts, each prompt and response together; higher is better.
        to_unit: a rising function from raw scores to [0, 1].
        """
        self._raw_scores = raw_scores
        self._to_unit = to_unit

    def score(self, texts: Sequence[Passage]) -> np.ndarray:
        """Scores (len(texts),) in [0, 1]."""
        return self._to_unit(self._raw_scores(texts))

    def compare(self, prompts: Sequence[str], first: Sequence[Passage], second: Sequence[Passage]) -> np.ndarray:
        """See `Judge.compare`."""
        ours = [one.after(prompt) for prompt, one in zip(prompts, first, strict=True)]
        theirs = [one.after(prompt) for prompt, one in zip(prompts, second, strict=True)]
        # each text is scored once: in another batch a network may round the score of the same text differently
        unique = list(dict.fromkeys(ours + theirs))
        scores = dict(zip(unique, self._raw_scores(unique).tolist(), strict=True))
        return np.array([(1 + np.sign(scores[a] - scores[b])) / 2 for a, b in zip(ours, theirs, strict=True)])

    def rate(self, prompts: Sequence[str], responses: Sequence[Passage], against: Sequence[Passage]) -> np.ndarray:
        """See `Judge.rate`; `against` is not read."""
        return self.score([one.after(prompt) for prompt, one in zip(prompts, responses, strict=True)])

    def rank(self, prompts: Sequence[str], samples: Sequence[Sequence[Passage]]) -> np.ndarray:
        """See `Judge.rank`."""
        texts = [one.after(prompt) for prompt, drawn in zip(prompts, samples, strict=True) for one in drawn]
        return self.score(texts).reshape(len(prompts), -1)

    def counts(self) -> dict[str, int | float]:
        """Empty: a score is never missing."""
        return {}

    def verdicts(self) -> list[VerdictRecord]:
        """Empty: verdicts are computed again at no cost."""
        return []
