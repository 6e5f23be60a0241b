"""Pairs that the data gives: complete responses, without a judge, with the scores and votes that the data has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.uses import Paired
from pipeline.data.views import View
from pipeline.preferences.given_table import given_record
from pipeline.preferences.pair import Origin, PairRecord, PreferencePair
from pipeline.reading.votes import Vote


def given_pairs(paired: Paired) -> Sequence[PreferencePair]:
    """A pair of each record, made when it is asked for.

    Args:
        paired: as `Uses.paired` gives them.
    """
    return View(np.arange(len(paired)), _Pairs(paired))


def given_records(paired: Paired) -> Sequence[PairRecord]:
    """The given pairs as rows of artifacts/data/pairs.jsonl."""
    sizes = paired.sizes if isinstance(paired, View) else None
    return View(np.arange(len(paired)), _Records(paired), sizes)


# callables of rows by their place; another process can make the rows, too


@dataclass(frozen=True)
class _Pairs:
    paired: Paired

    def __call__(self, at: int) -> PreferencePair:
        split, record = self.paired[at]
        # votes on it may be in several files; each row is numbered in its own
        files = dict.fromkeys(file for file, _ in record["places"])
        return PreferencePair(
            id=record["id"],
            prompt_id=record["id"],
            prompt=record["prompt"],
            category=record["category"],
            chosen=record["chosen"],
            rejected=record["rejected"],
            chosen_ended=True,
            rejected_ended=True,
            split=split,
            source="given",
            chosen_score=record.get("chosen_score"),
            rejected_score=record.get("rejected_score"),
            origin=Origin(", ".join(files), tuple(row for _, row in record["places"])),
            votes=tuple(Vote(**vote) for vote in record["votes"]) if "votes" in record else None,
        )


@dataclass(frozen=True)
class _Records:
    paired: Paired

    def __call__(self, at: int) -> PairRecord:
        return given_record(_Pairs(self.paired)(at))
