"""Agreement and position bias of votes, against values worked by hand."""

import pytest

from pipeline.preferences.agreement import summarise_votes
from pipeline.reading.votes import Verdict, Vote


def votes(*verdicts: Verdict, swapped: bool = False) -> list[Vote]:
    return [Vote(f"annotator {number}", verdict, swapped) for number, verdict in enumerate(verdicts)]


def test_alpha_by_hand() -> None:
    """alpha = 1 - D_o / D_e. Pairable votes: a a, a b, b b. Observed disagreement: 2 of 6 ordered pairs differ. With
    3 a and 3 b of 6, expected disagreement is 2 * 3 * 3 / (6 * 5) = 0.6."""
    found = summarise_votes([votes("a", "a"), votes("a", "b"), votes("b", "b"), votes("a")])
    assert found.krippendorff_alpha == pytest.approx(1 - (2 / 6) / 0.6, abs=1e-6)
    assert (found.comparisons, found.votes, found.annotators) == (4, 7, 2)
    assert found.verdicts == {"a": 4, "b": 3, "tie": 0}


def test_alpha_needs_two_votes_and_two_verdicts() -> None:
    assert summarise_votes([votes("a"), votes("b")]).krippendorff_alpha is None
    assert summarise_votes([votes("a", "a"), votes("a", "a")]).krippendorff_alpha is None


def test_the_first_shown_counts_in_the_order_in_which_it_was_shown() -> None:
    found = summarise_votes([votes("a", "b", "tie"), votes("a", "b", "b", swapped=True)])
    # shown first and chosen: a; of the swapped, b twice
    assert (found.first_shown_wins, found.decided_votes) == (0.6, 5)
    assert summarise_votes([votes("tie")]).first_shown_wins is None
