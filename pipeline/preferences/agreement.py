"""What several votes on the same two responses say about the labels: agreement, and a preference for a position."""

from collections import Counter
from collections.abc import Sequence

import krippendorff
import numpy as np

from pipeline.reading.votes import Verdict, Vote
from pipeline.results.preferences import VoteSummary

_VERDICTS: tuple[Verdict, ...] = ("a", "b", "tie")
_DECIMALS = 6


def summarise_votes(comparisons: Sequence[Sequence[Vote]]) -> VoteSummary:
    """Agreement and position bias of comparisons with their votes.

    Args:
        comparisons: the votes on each two responses, in the order of the data (a first).
    """
    votes = [vote for found in comparisons for vote in found]
    decided = [vote for vote in votes if vote.verdict != "tie"]
    first = sum((vote.verdict == "a") != vote.swapped for vote in decided)
    return VoteSummary(
        comparisons=len(comparisons),
        votes=len(votes),
        annotators=len({vote.annotator for vote in votes}),
        votes_each=round(len(votes) / len(comparisons), _DECIMALS) if comparisons else 0.0,
        verdicts={verdict: sum(vote.verdict == verdict for vote in votes) for verdict in _VERDICTS},
        krippendorff_alpha=_alpha(comparisons),
        first_shown_wins=round(first / len(decided), _DECIMALS) if decided else None,
        decided_votes=len(decided),
    )


def _alpha(comparisons: Sequence[Sequence[Vote]]) -> float | None:
    counted = [Counter(vote.verdict for vote in votes) for votes in comparisons if len(votes) > 1]
    table = np.array([[counts[verdict] for verdict in _VERDICTS] for counts in counted])
    if not counted or (table.sum(0) > 0).sum() < 2:
        return None
    return round(float(krippendorff.alpha(value_counts=table, level_of_measurement="nominal")), _DECIMALS)
