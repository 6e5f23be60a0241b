"""What an annotator said of two responses."""

from dataclasses import dataclass
from typing import Literal, TypedDict

Verdict = Literal["a", "b", "tie"]
_OTHER: dict[Verdict, Verdict] = {"a": "b", "b": "a", "tie": "tie"}


class VoteRecord(TypedDict):
    """A vote as JSON has it, with the fields of `Vote`."""

    annotator: str
    verdict: Verdict
    swapped: bool


@dataclass(frozen=True)
class Vote:
    """What one annotator said of two responses."""

    annotator: str
    verdict: Verdict
    """Which response is better, in the order of the entry."""
    swapped: bool = False
    """The annotator saw them in the other order."""

    def reversed(self) -> "Vote":
        """The same vote on the responses in the other order."""
        return Vote(self.annotator, _OTHER[self.verdict], not self.swapped)

    def as_record(self) -> VoteRecord:
        """For JSON; `Vote(**record)` reads it."""
        return {"annotator": self.annotator, "verdict": self.verdict, "swapped": self.swapped}
