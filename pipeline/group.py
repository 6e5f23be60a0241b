"""The processes that work on one stage together, as torchrun starts them; without it a process is a group of one.

Parameters fix the units of work (forward passes, chunks); a group deals them out, and what comes of them is added up or
put back in order. So nothing that a stage writes depends on how many processes there are, but for the rounding of sums.

Source: PyTorch, "torchrun", the environment variables of a worker.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Item = TypeVar("Item")
Result = TypeVar("Result")
_STARTED_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"
"""Other programs set WORLD_SIZE and RANK, too, such as those that start a container on a cluster."""
_NOTHING = object()
_LONGEST_WAIT = timedelta(days=30)
"""For what another process computes or asks; one that ends is noticed at once. torch's own limit is half an hour."""


class OthersEnded(Exception):
    """Another process of the group has ended, so that this one cannot go on; what went wrong is known there."""


def size() -> int:
    """How many processes there are."""
    return int(os.environ["WORLD_SIZE"]) if _STARTED_BY_TORCHRUN in os.environ else 1


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ["RANK"]) if _STARTED_BY_TORCHRUN in os.environ else 0


def local_size() -> int:
    """How many of them are on this node, and share its processor cores and memory."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if _STARTED_BY_TORCHRUN in os.environ else 1


def is_first() -> bool:
    """Whether this is the process that writes: outputs, logs, states to go on from."""
    return rank() == 0


def dealt(items: Sequence[Item]) -> Sequence[Item]:
    """What of `items` is this process's: every `size()`-th, from `rank()` on."""
    return items[rank() :: size()]


def join(*, on_cpu: bool) -> None:
    """Meet the other processes, on the CPU or on the GPU of this process's number on its node, through accelerate.

    The first call decides where. Whoever exchanges something before is on the CPU.
    """
    from accelerate import PartialState  # seconds that one process need not spend

    PartialState(cpu=on_cpu, timeout=_LONGEST_WAIT)


def gathered(mine: Sequence[Item]) -> list[Item]:
    """The results of all processes, in the order in which their items were dealt; each process gets all of them.

    All processes have to call it. Results are pickled: tensors should lie on the CPU.

    Raises:
        OthersEnded: one of them cannot; so it is wherever processes exchange something.
    """
    if size() == 1:
        return list(mine)
    hands: list[Sequence[Item]] = _exchanged(mine)
    rounds = zip_longest(*hands, fillvalue=_NOTHING)
    return [item for item in chain.from_iterable(rounds) if item is not _NOTHING]  # type: ignore[misc]


def map_dealt(task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The result of each item, in their order: each process computes every `size()`-th, and each gets all of them.

    Each round deals one item to each process and exchanges what came of them, so no more than that is on its way at
    once. With one process this is `map`. All processes have to call it with the same items, be there enough for each
    or none, and to take all results.

    Args:
        task: what it returns is pickled; tensors should lie on the CPU.
        items: made as they are asked for; every process makes all of them.

    Raises:
        RuntimeError: some process has more items than another.
    """
    if size() == 1:
        yield from map(task, items)
        return
    left = iter(items)
    while True:
        around = list(islice(left, size()))
        hands = _exchanged((len(around), [task(item) for item in dealt(around)]))
        if len(counts := {count for count, _ in hands}) > 1:
            raise RuntimeError(f"the processes have different work: {sorted(counts)} items in the same round")
        yield from chain.from_iterable(results for _, results in hands)
        if len(around) < size():
            return


def portable(tensors: Sequence["Tensor"]) -> tuple["Tensor", ...]:
    """The tensors on the CPU, where other processes are to get them; with one process as they are."""
    return tuple(tensors) if size() == 1 else tuple(tensor.cpu() for tensor in tensors)


def gathered_tensors(mine: Sequence["Tensor"], device: "torch.device") -> list["Tensor"]:
    """As `gathered`, of tensors on a device, where they come back."""
    if size() == 1:
        return list(mine)
    return [tensor.to(device) for tensor in gathered(portable(mine))]


def from_first(task: Callable[[], Result]) -> Result:
    """The result of a task that the first process does alone: what is to be asked, read or written once.

    All processes have to call it. The result is pickled: tensors should lie on the CPU.
    """
    if size() == 1:
        return task()
    result: Result = _exchanged(task() if is_first() else None)[0]
    return result


def add_up(tensors: Sequence["Tensor"]) -> None:
    """Replace each tensor by its sum over the processes, in one exchange for each number format.

    All processes have to call it with tensors of the same shapes, in the same order.
    """
    if size() == 1:
        return
    import torch

    join(on_cpu=True)
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        those = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.reshape(-1) for tensor in those])
        with _of_all():
            torch.distributed.all_reduce(flat)
        for tensor, part in zip(those, flat.split([tensor.numel() for tensor in those]), strict=True):
            tensor.copy_(part.view_as(tensor))


def _exchanged(mine: object) -> list[Any]:
    """What every process has given, by rank."""
    from torch.distributed import all_gather_object

    hands: list[Any] = [None] * size()
    with _of_all():
        all_gather_object(hands, mine, group=_for_objects())
    return hands


@contextmanager
def _of_all() -> Iterator[None]:
    """An exchange, which fails at once where another process has closed its connection by ending."""
    try:
        yield
    except RuntimeError as error:
        raise OthersEnded(
            f"the {size()} processes cannot exchange what they have computed, or one of them has ended: {error}"
        ) from error


@cache
def _for_objects() -> Any:
    """The processes once more, for what lies in the memory of the host, whatever they compute on."""
    from torch.distributed import new_group

    join(on_cpu=True)
    return new_group(backend="gloo", timeout=_LONGEST_WAIT)
