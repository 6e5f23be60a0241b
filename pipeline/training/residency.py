"""Which networks of PPO are in the memory of the device, and when.

The estimate of memory counts what is stated here, and a test holds the trainer to it.
"""

from typing import Literal

import torch

Role = Literal["policy", "critic", "reference", "reward_model"]
Phase = Literal["sample", "score", "log_probs", "reference_log_probs", "update"]
"""A part of one iteration; they stand in their order."""
_READ_ALONE: dict[Phase, Role] = {"score": "reward_model", "reference_log_probs": "reference"}
"""The phase that reads a frozen role, which no other phase does."""


def resident_roles(phase: Phase, *, offloaded: bool) -> frozenset[Role]:
    """The roles on the device in a phase, of those that are networks of their own.

    What is trained always is: its gradients and moments, which are larger, lie there, too.

    Args:
        offloaded: frozen roles wait in the memory of the host while they are not read, see `offloads`.
    """
    frozen = {role for read, role in _READ_ALONE.items() if read == phase or not offloaded}
    return frozenset({"policy", "critic", *frozen})


def offloads(asked: bool, device: torch.device) -> bool:
    """Whether `offload_idle` has an effect: of a CPU the host's memory is the device's."""
    return asked and device.type != "cpu"
