"""The processes that work on one stage together, as torchrun starts them; without it a process is a group of one.

Parameters fix the units of work (forward passes, chunks); a group deals them out, and what comes of them is added up or
put back in order. So nothing that a stage writes depends on how many processes there are, but for the rounding of sums.

Source: PyTorch, "torchrun", the environment variables of a worker.
"""

import os
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")
_STARTED_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"
"""Other programs set WORLD_SIZE and RANK, too, such as those that start a container on a cluster."""
_NOTHING = object()


def size() -> int:
    """How many processes there are."""
    return int(os.environ["WORLD_SIZE"]) if _STARTED_BY_TORCHRUN in os.environ else 1


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ["RANK"]) if _STARTED_BY_TORCHRUN in os.environ else 0


def is_first() -> bool:
    """Whether this is the process that writes: outputs, logs, states to go on from."""
    return rank() == 0


def dealt(items: Sequence[Item]) -> Sequence[Item]:
    """What of `items` is this process's: every `size()`-th, from `rank()` on."""
    return items[rank() :: size()]


def gathered(mine: Sequence[Item]) -> list[Item]:
    """The results of all processes, in the order in which their items were dealt; each process gets all of them.

    All processes have to call it. Results are pickled: tensors should lie on the CPU.
    """
    if size() == 1:
        return list(mine)
    from accelerate import PartialState  # seconds that one process need not spend
    from torch.distributed import all_gather_object

    PartialState(cpu=True)
    hands: list[Sequence[Item]] = [()] * size()
    all_gather_object(hands, mine)
    rounds = zip_longest(*hands, fillvalue=_NOTHING)
    return [item for item in chain.from_iterable(rounds) if item is not _NOTHING]  # type: ignore[misc]


def add_up(tensors: Sequence["Tensor"]) -> None:
    """Replace each tensor by its sum over the processes, in one exchange for each number format.

    All processes have to call it with tensors of the same shapes, in the same order.
    """
    if size() == 1:
        return
    import torch
    from accelerate import PartialState

    PartialState(cpu=tensors[0].device.type == "cpu")
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        those = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.reshape(-1) for tensor in those])
        torch.distributed.all_reduce(flat)
        for tensor, part in zip(those, flat.split([tensor.numel() for tensor in those]), strict=True):
            tensor.copy_(part.view_as(tensor))
