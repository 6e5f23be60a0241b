"""Pairs before the contract, however they were made, and what is told of how: what collect_preferences writes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.judges.protocol import VerdictRecord
from pipeline.preferences.pair import PreferencePair
from pipeline.results.preferences import Collection, CollectionDetails


@dataclass(frozen=True)
class Collected:
    """Pairs, how many comparisons gave none, and what is told of them."""

    pairs: Sequence[PreferencePair]
    ties: int
    details: CollectionDetails = field(default_factory=CollectionDetails)
    verdicts: Sequence[VerdictRecord] = ()
    """Of a judge that keeps its own."""

    def document(self, *, prompts: int) -> Collection:
        """What is told, with the number of prompts that pairs could be made on."""
        return Collection(
            **self.details.as_fields(), pairs=len(self.pairs), prompts=prompts, ties_without_pair=self.ties
        )
