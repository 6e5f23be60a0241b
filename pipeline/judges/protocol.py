"""What every judge does, be it a fitted classifier, a reward model or a chat model."""

from collections.abc import Sequence
from typing import Protocol, TypedDict

import numpy as np

from pipeline.data.passages import Passage


class VerdictRecord(TypedDict):
    """A comparison, as a row of a file of verdicts."""

    prompt: str
    first: str
    second: str
    outcome: str
    """In one word whether the judge decided, or why it has no preference."""
    preference: float | None
    """For the first response, see `Judge.compare`; None without a usable verdict."""
    replies: list[str]
    """What the judge said of the first response in front of the second."""
    replies_swapped: list[str]
    """What it said of the second response in front of the first."""


class Judge(Protocol):
    """Prefers one response to another. Training pairs are ranked, and policies measured, by this alone."""

    def compare(self, prompts: Sequence[str], first: Sequence[Passage], second: Sequence[Passage]) -> np.ndarray:
        """Preference for `first`, shape (N,): 1 it is better, 0 `second` is, 0.5 a tie, NaN no usable verdict."""
        ...

    def rate(self, prompts: Sequence[str], responses: Sequence[Passage], against: Sequence[Passage]) -> np.ndarray:
        """How good each response is, shape (N,), in [0, 1] or NaN.

        Args:
            against: the SFT policy's response to each prompt. A judge that scores single responses ignores it; one that
                compares rates a response by the preference over it, so that the SFT policy itself has 0.5.
        """
        ...

    def rank(self, prompts: Sequence[str], samples: Sequence[Sequence[Passage]]) -> np.ndarray:
        """How good each sample of a prompt is among all of them, shape (prompts, copies), in [0, 1] or NaN."""
        ...

    def counts(self) -> dict[str, int | float]:
        """Counts of the comparisons so far by outcome, for the reports; empty for judges that always give a verdict."""
        ...

    def verdicts(self) -> list[VerdictRecord]:
        """Every verdict so far as a record, in the order of first use; empty for judges that can compute them again."""
        ...
