"""Pairs before the contract, however they were made, and what is told of how: what collect_preferences writes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from pipeline.judges.protocol import VerdictRecord
from pipeline.preferences.agreement import Agreement
from pipeline.preferences.pair import PreferencePair


class CollectionDetails(TypedDict, total=False):
    """What one way of making pairs tells beside their number."""

    judge_verdicts: Mapping[str, float]
    """Of a judge that can fail to decide: comparisons by what became of them."""
    votes: Mapping[str, int]
    """Lines of the vote files by what became of them."""
    compared: Mapping[str, int]
    """Pairs of responses that people voted on, by the same."""
    agreement: Agreement
    """Of the votes on all of them."""


class Collection(CollectionDetails):
    """The document reports/preferences/collection.json."""

    pairs: int
    prompts: int
    """Of train, validation and test."""
    ties_without_pair: int


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
        return {"pairs": len(self.pairs), "prompts": prompts, "ties_without_pair": self.ties, **self.details}


def read_collection(path: Path) -> Collection:
    """The document that `Collected.document` gave."""
    found: Collection = json.loads(path.read_text())
    return found
