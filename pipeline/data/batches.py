"""Batches of rows that fit into memory, however long the rows are."""

import numpy as np

MOST_BYTES = 2**25
"""Bytes of the rows of a batch together, as they are on the disk; in memory they take several times as much."""


def batches_of(sizes: np.ndarray, *, rows: int) -> list[range]:
    """All positions in order, in batches of at most `rows` and MOST_BYTES; a row that is larger is alone.

    Args:
        sizes: bytes of each row: (N,).
        rows: the most rows of a batch.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    found, start = [], 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        fits = int(np.searchsorted(ends, before + MOST_BYTES, side="right"))
        stop = max(start + 1, min(start + rows, fits))
        found.append(range(start, stop))
        start = stop
    return found
