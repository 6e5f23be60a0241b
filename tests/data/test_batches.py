"""Rows that are worked on at once."""

import random

import numpy as np
import pytest

from pipeline.data import batches
from pipeline.data.batches import batches_of


def test_batches_hold_every_row_once_and_no_more_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_BYTES", 100)
    rng = random.Random(0)
    for count in range(1, 60):
        sizes = [rng.choice([0, 1, 30, 100, 101, 5000]) for _ in range(count)]
        found = batches_of(np.array(sizes, dtype=np.uint64), rows=7)
        assert [at for part in found for at in part] == list(range(count))
        for part, later in zip(found, [*found[1:], None], strict=True):
            size = sum(sizes[at] for at in part)
            assert len(part) <= 7 and (size <= 100 or len(part) == 1)
            # and no smaller than it must be
            assert later is None or len(part) == 7 or size + sizes[later.start] > 100


def test_short_rows_are_counted_alone() -> None:
    assert batches_of(np.zeros(0), rows=2) == []
    assert batches_of(np.zeros(5), rows=2) == [range(2), range(2, 4), range(4, 5)]
