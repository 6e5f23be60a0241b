"""Which split a prompt is in: a hash of it, so that a prompt is on one side only and new rows move no old one."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np

from pipeline.params.data import Data
from pipeline.seeding import seed_for

SPLITS = ("judge", "sft", "train", "validation", "test", "evaluation")
PAIR_SPLITS = ("train", "validation", "test")
"""Those that have preference pairs, from what is trained on to what is held out furthest."""
HELD_OUT = ("validation", "test", "evaluation")
"""Nothing is trained on them; checkpoints are chosen by the first, reward models by the second."""


def unit_hash(seed: int, text: str) -> float:
    """A number in [0, 1) that only the seed and the text decide."""
    return seed_for(seed, f"split/{text}") / 2**63


Edges = Mapping[str, tuple[float, float]]
"""The part of [0, 1) of each split."""


def split_edges(data: Data) -> Edges:
    """The parts are `data.splits`, in the order of `SPLITS`."""
    upper = list(accumulate(getattr(data.splits, split) for split in SPLITS))
    return {split: (low, high) for split, low, high in zip(SPLITS, [0.0, *upper[:-1]], upper, strict=True)}


def splits_of(values: np.ndarray, edges: Edges) -> np.ndarray:
    """The number of the split whose part of [0, 1) each hash is in: (N,)."""
    highs = [high for _, high in edges.values()]
    return np.minimum(np.searchsorted(highs, values, side="right"), len(SPLITS) - 1)


def lend_to_empty_splits(by_split: dict[str, np.ndarray], hashes: np.ndarray, edges: Edges) -> None:
    """A split with a share but without a prompt gets the nearest one of a split with several.

    Args:
        by_split: numbers of records, all of one prompt in one split; changed in place.
        hashes: of the prompts of all records.
        edges: of the splits.
    """
    for split, (low, high) in edges.items():
        if len(by_split[split]) or low == high:
            continue
        found = {name: np.unique(hashes[numbers]) for name, numbers in by_split.items()}
        lenders = [name for name in SPLITS if len(found[name]) > 1]
        spare = [(abs(value - (low + high) / 2), value, name) for name in lenders for value in found[name].tolist()]
        if not spare:
            return
        _, lent, lender = min(spare)
        taken = hashes[by_split[lender]] == lent
        by_split[split], by_split[lender] = by_split[lender][taken], by_split[lender][~taken]


def held_out_edge(hashes: Sequence[float], share: float) -> float:
    """Below it lies the share of the hashes that is held out; of few, the smallest one at least."""
    smallest, *others = sorted(set(hashes)) or [0.0]
    return share if smallest < share or not others else others[0]
