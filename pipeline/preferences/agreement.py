"""What several votes on the same two responses say about the labels: agreement, and a preference for a position."""

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

import krippendorff
import numpy as np

from pipeline.reading.votes import Verdict, Vote

_VERDICTS: tuple[Verdict, ...] = ("a", "b", "tie")
_DECIMALS = 6


class Agreement(TypedDict):
    """What votes say about the labels."""

    comparisons: int
    votes: int
    annotators: int
    votes_each: float
    """Mean of the comparisons."""
    verdicts: dict[Verdict, int]
    """Votes by verdict."""
    krippendorff_alpha: float | None
    """Agreement beyond chance, 1 is perfect, over comparisons with two votes or more, nominal (Krippendorff 2011); None
    without them or without two different verdicts."""
    first_shown_wins: float | None
    """Share of the votes for one response that chose the one shown first, 0.5 without bias; None without any."""
    decided_votes: int
    """Votes for one response."""


def summarise_votes(comparisons: Sequence[Sequence[Vote]]) -> Agreement:
    """Agreement and position bias of comparisons with their votes.

    Args:
        comparisons: the votes on each two responses, in the order of the data (a first).
    """
    votes = [vote for found in comparisons for vote in found]
    decided = [vote for vote in votes if vote.verdict != "tie"]
    first = sum((vote.verdict == "a") != vote.swapped for vote in decided)
    return {
        "comparisons": len(comparisons),
        "votes": len(votes),
        "annotators": len({vote.annotator for vote in votes}),
        "votes_each": round(len(votes) / len(comparisons), _DECIMALS) if comparisons else 0.0,
        "verdicts": {verdict: sum(vote.verdict == verdict for vote in votes) for verdict in _VERDICTS},
        "krippendorff_alpha": _alpha(comparisons),
        "first_shown_wins": round(first / len(decided), _DECIMALS) if decided else None,
        "decided_votes": len(decided),
    }


def _alpha(comparisons: Sequence[Sequence[Vote]]) -> float | None:
    counted = [Counter(vote.verdict for vote in votes) for votes in comparisons if len(votes) > 1]
    table = np.array([[counts[verdict] for verdict in _VERDICTS] for counts in counted])
    if not counted or (table.sum(0) > 0).sum() < 2:
        return None
    return round(float(krippendorff.alpha(value_counts=table, level_of_measurement="nominal")), _DECIMALS)
