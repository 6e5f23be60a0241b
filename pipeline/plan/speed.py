"""How fast a machine computes, and so how long a stage may take: an estimate, right to within a factor of two.

Measured are matrix products of the sizes and number formats that a stage has, for a fifth of a second each. A stage
reaches a share of that, which differs by what it does and was set by the default run (docs/operations.md).
"""

import itertools
import time
from dataclasses import dataclass, field

import torch

from pipeline.plan.arithmetic import SAMPLING, SCORING, TRAINING, Kind, Labour

EFFICIENCY = {TRAINING: 0.5, SCORING: 0.8, SAMPLING: 0.5}
"""Share of the rate of matrix products that a stage reaches."""
START = 4.0
"""Seconds in which a stage starts, loads its models, and writes what it has made."""
_MEASURED = 0.2
"""Seconds for which a product is measured."""
_MOST_ROWS = {"cpu": 128, "mps": 1024, "cuda": 4096}
"""Rows beyond which products run no faster."""
_SHORT = 2**28
"""Operations of a product that is measured on a CPU: a thousandth of a second."""
_CACHES = 64 << 20
"""Bytes that a processor's caches do not hold."""
_BALANCE = 200.0
"""Operations that a GPU computes while it reads a byte: with fewer rows than that its memory decides."""


class MeasuredRates:
    """How fast this machine computes matrix products, measured when it is asked."""

    def __init__(self, device: torch.device, threads: int) -> None:
        self._device, self._threads = device, threads
        self._known: dict[tuple[int, int, int, int], float] = {}

    def of(self, kind: Kind) -> float:
        """Operations of this kind in a second."""
        rows = min(1 << (kind.rows - 1).bit_length(), _MOST_ROWS[self._device.type])
        shape = (rows, kind.width, kind.inner, kind.number)
        if shape not in self._known:
            self._known[shape] = self._measure(*shape)
        return self._known[shape]

    def _measure(self, rows: int, width: int, inner: int, number: int) -> float:
        """The best of many products; on a CPU on one thread, which other programs disturb least, times the threads."""
        on_cpu = self._device.type == "cpu"
        if on_cpu:
            # over before another program has its turn
            inner = max(16, min(inner, _SHORT // (2 * rows * width)))
        before = torch.get_num_threads()
        torch.set_num_threads(1 if on_cpu else before)
        dtype = torch.bfloat16 if number == 2 else torch.float32
        left = torch.ones(rows, width, dtype=dtype, device=self._device)
        # as in a network, each weight comes from memory
        count = -(-_CACHES // (width * inner * number))
        weights = torch.ones(count, inner, width, dtype=dtype, device=self._device)
        best, spent = float("inf"), 0.0
        for weight in itertools.cycle(weights):
            start = time.perf_counter()
            product = torch.nn.functional.linear(left, weight)
            product[0, 0].item()  # waits for a GPU
            took = time.perf_counter() - start
            best, spent = min(best, took), spent + took
            if spent > _MEASURED:
                break
        torch.set_num_threads(before)
        return 2 * rows * width * inner / best * (self._threads if on_cpu else 1)


@dataclass(frozen=True)
class GivenRates:
    """How fast a machine computes that is not there, by what its data sheet says of dense matrix products."""

    operations: float
    """In a second, in the number format of the run."""

    def of(self, kind: Kind) -> float:
        """Operations of this kind in a second; where few rows meet a weight, the memory that it comes from decides."""
        return self.operations * min(1.0, 2 * kind.rows / kind.number / _BALANCE)


Rates = MeasuredRates | GivenRates


@dataclass(frozen=True)
class Clock:
    """How long stages take."""

    rates: Rates
    shares: dict[str, float] = field(default_factory=lambda: dict(EFFICIENCY))

    def seconds(self, labour: Labour, fixed: float) -> float:
        """Seconds of a stage.

        Args:
            fixed: seconds of what is no matrix product.
        """
        computed = sum(
            operations / (self.rates.of(kind) * self.shares[kind.name])
            for kind, operations in labour.operations.items()
        )
        return START + fixed + computed
