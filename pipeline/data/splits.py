"""The split of a prompt, which its hash decides: a prompt is in one split only, and new rows move no old one."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np

from pipeline.params.data import Data
from pipeline.seeding import seed_for

SPLITS = ("judge", "sft", "train", "validation", "test", "evaluation")
PAIR_SPLITS = ("train", "validation", "test")
"""The splits of preference pairs, from the one that is trained on to the one that is held out furthest."""
HELD_OUT = ("validation", "test", "evaluation")
"""The splits that nothing is trained on; checkpoints are chosen by the first, reward models by the second."""


def unit_hash(seed: int, text: str) -> float:
    """A number in [0, 1) that only the seed and the text decide."""
    return seed_for(seed, f"split/{text}") / 2**63


Edges = Mapping[str, tuple[float, float]]
"""The part of [0, 1) of each split."""


def split_edges(data: Data) -> Edges:
    """The part of [0, 1) of each split: its share in `data.splits`, in the order of `SPLITS`."""
    upper = list(accumulate(getattr(data.splits, split) for split in SPLITS))
    return {split: (low, high) for split, low, high in zip(SPLITS, [0.0, *upper[:-1]], upper, strict=True)}


def splits_of(values: np.ndarray, edges: Edges) -> np.ndarray:
    """The position in `SPLITS` of the split of each hash in [0, 1): (N,)."""
    highs = [high for _, high in edges.values()]
    return np.minimum(np.searchsorted(highs, values, side="right"), len(SPLITS) - 1)


def lend_to_empty_splits(by_split: dict[str, np.ndarray], hashes: np.ndarray, edges: Edges) -> None:
    """Give each split with a share but without a prompt the nearest prompt of a split with several.

    Args:
        by_split: the numbers of the records of each split; changed in place.
        hashes: the hash of the prompt of each record: (N,).
        edges: the part of [0, 1) of each split.
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
    """The number below which a hash is held out: about this share of the hashes, and at least one of several."""
    smallest, *others = sorted(set(hashes)) or [0.0]
    return share if smallest < share or not others else others[0]
