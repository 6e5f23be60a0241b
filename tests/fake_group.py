"""Several processes of a group as threads of this one: what they exchange is handed over in the memory."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from torch import Tensor

from pipeline import group

Result = TypeVar("Result")


class Threads:
    """Stands for `pipeline.group` with as many processes as there are tasks."""

    def __init__(self, size: int) -> None:
        self._barrier = threading.Barrier(size, timeout=60)
        self._hands: list[Any] = [None] * size
        self._mine = threading.local()

    def run(self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """What the tasks return, each in a thread of its own; a task that fails ends the wait of the others."""

        def work(rank: int) -> Result:
            self._mine.rank = rank
            try:
                return tasks[rank]()
            except BaseException:
                self._barrier.abort()
                raise

        names = {"size": lambda: len(tasks), "rank": lambda: self._mine.rank, "_exchanged": self._exchanged}
        with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(len(tasks)) as pool:
            for name, replacement in {**names, "add_up": self._add_up}.items():
                patch.setattr(group, name, replacement)
            working = [pool.submit(work, rank) for rank in range(len(tasks))]
            failures = [error for one in working if (error := one.exception()) is not None]
            for error in failures:
                if not isinstance(error, group.OthersEnded):
                    raise error
            return [one.result() for one in working]

    def _exchanged(self, mine: object) -> list[Any]:
        self._hands[self._mine.rank] = mine
        try:
            self._barrier.wait()
            hands = list(self._hands)
            self._barrier.wait()
        except threading.BrokenBarrierError as error:
            raise group.OthersEnded("another thread has ended") from error
        return hands

    def _add_up(self, tensors: Sequence[Tensor]) -> None:
        hands = self._exchanged([tensor.clone() for tensor in tensors])
        for place, tensor in enumerate(tensors):
            total = hands[0][place].clone()
            for hand in hands[1:]:
                total += hand[place]
            tensor.copy_(total)
