"""What collect_preferences writes: pairs before the contract, and how they were made."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.judges.protocol import VerdictRecord
from pipeline.preferences.pair import PreferencePair
from pipeline.results.preferences import Collection, CollectionDetails


@dataclass(frozen=True)
class Collected:
    """Pairs, the number of comparisons that gave no pair, and what the report says of both."""

    pairs: Sequence[PreferencePair]
    ties: int
    details: CollectionDetails = field(default_factory=CollectionDetails)
    verdicts: Sequence[VerdictRecord] = ()
    """The comparisons of a judge that keeps them, such as a chat model."""

    def document(self, *, prompts: int) -> Collection:
        """reports/preferences/collection.json, with the number of prompts that pairs could be made on."""
        return Collection(
            **self.details.as_fields(), pairs=len(self.pairs), prompts=prompts, ties_without_pair=self.ties
        )
