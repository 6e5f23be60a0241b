"""Frozen networks that wait in the memory of the host while nothing reads them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Parked:
    """A frozen network, whose weights are on their device inside `here` alone.

    They are copied to it each time, and never back: what is frozen has the same bytes in the host's memory.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        """Take the weights off the device.

        Args:
            network: changed in place.
            device: where it is read.

        Raises:
            ValueError: a weight is trained.
        """
        trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
        if trained:
            raise ValueError(f"only frozen weights can wait in the host's memory, and {trained[0]} is trained")
        self._device = device
        self._kept = [(parameter, _on_host(parameter.data)) for parameter in network.parameters()]
        self._leave()

    @contextmanager
    def here(self) -> Iterator[None]:
        """Inside the block the weights are on the device."""
        for parameter, kept in self._kept:
            parameter.data = kept.to(self._device, non_blocking=True, copy=True)
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        for parameter, kept in self._kept:
            parameter.data = kept


def _on_host(weight: Tensor) -> Tensor:
    """A copy that a GPU reads without the processor's help, where it comes from one."""
    kept = weight.to("cpu")
    return kept.pin_memory() if weight.is_cuda else kept
