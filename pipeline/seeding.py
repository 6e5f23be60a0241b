"""Named random generators from one root seed.

torch, which takes seconds to import, is imported where a torch generator is asked for: stages without tensors share
this module.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seed_for(root_seed: int, name: str) -> int:
    """Seed of the generator called `name`: adding a use of randomness never shifts the others."""
    digest = hashlib.sha256(f"{root_seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def torch_generator(root_seed: int, name: str, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A torch generator on `device`, seeded for `name`."""
    import torch

    return torch.Generator(device=device).manual_seed(seed_for(root_seed, name))


def python_random(root_seed: int, name: str) -> random.Random:
    """A `random.Random` seeded for `name`."""
    return random.Random(seed_for(root_seed, name))


@contextmanager
def seeded_globals(root_seed: int, name: str) -> Iterator[None]:
    """Seed torch's global generator inside the block, for libraries that take no generator (PEFT's init)."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed_for(root_seed, name))
        yield
