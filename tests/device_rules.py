"""What torch refuses on a GPU where `use_deterministic_algorithms` is on, watched on a CPU, which computes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

REFUSED = frozenset(
    (
        "aten.put_",
        "aten.histc",
        "aten.median",
        "aten.nll_loss2d_forward",
        "aten.kthvalue",
        "aten.upsample_linear1d_backward",
        "aten._ctc_loss_backward",
        "aten.reflection_pad1d_backward",
        "aten.cumprod",
    )
)
"""Of the list in torch's documentation, those that a language model could meet."""
REFUSED_OF_FLOATS = frozenset(("aten.cumsum", "aten.cumsum_", "aten.bincount"))


class _Watch(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func.overloadpacket)
        result = func(*args, **(kwargs or {}))
        floats = isinstance(result, Tensor) and result.is_floating_point()
        if name in REFUSED or (name in REFUSED_OF_FLOATS and floats):
            self.refused.add(name)
        return result


@contextmanager
def refused_on_a_gpu() -> Iterator[set[str]]:
    """Inside the block, names of the operations that a GPU would have refused, forward and backward."""
    with _Watch() as watch:
        yield watch.refused


def refused_by(work: Callable[[], object]) -> set[str]:
    """The same of one function."""
    with refused_on_a_gpu() as refused:
        work()
    return refused
