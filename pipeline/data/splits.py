"""Which split a prompt is in: a hash of it, so that a prompt is on one side only and new rows move no old one."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from pipeline.params.schema import Data
from pipeline.seeding import seed_for

SPLITS = ("judge", "sft", "train", "validation", "test", "evaluation")


def unit_hash(seed: int, text: str) -> float:
    """A number in [0, 1) that only the seed and the text decide."""
    return seed_for(seed, f"split/{text}") / 2**63


def split_of(value: float, data: Data) -> str:
    """The split whose part of [0, 1) a hash is in; parts are `data.splits`, in the order of `SPLITS`."""
    return next((split for split, (_, high) in _edges(data).items() if value < high), SPLITS[-1])


def _edges(data: Data) -> dict[str, tuple[float, float]]:
    upper = list(accumulate(getattr(data.splits, split) for split in SPLITS))
    return {split: (low, high) for split, low, high in zip(SPLITS, [0.0, *upper[:-1]], upper, strict=True)}


def lend_to_empty_splits(by_split: dict[str, list[dict[str, Any]]], data: Data) -> None:
    """A split with a share but without a prompt gets the nearest one of a split with several.

    Args:
        by_split: records with the `hash` of their prompt, all of one prompt in one split; changed in place.
    """
    for split, (low, high) in _edges(data).items():
        if by_split[split] or low == high:
            continue
        hashes = {name: {record["hash"] for record in records} for name, records in by_split.items()}
        lenders = [name for name in SPLITS if len(hashes[name]) > 1]
        spare = [(abs(value - (low + high) / 2), value, name) for name in lenders for value in hashes[name]]
        if not spare:
            return
        _, lent, lender = min(spare)
        by_split[split] = [record for record in by_split[lender] if record["hash"] == lent]
        by_split[lender] = [record for record in by_split[lender] if record["hash"] != lent]


def held_out_edge(hashes: Sequence[float], share: float) -> float:
    """Below it lies the share of the hashes that is held out; of few, the smallest one at least."""
    smallest, *others = sorted(set(hashes)) or [0.0]
    return share if smallest < share or not others else others[0]
