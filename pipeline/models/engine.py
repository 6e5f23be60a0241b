"""What samples: one protocol for the policy's own network and for a server that holds the same weights."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pipeline.kernels.cache import CacheMemory

if TYPE_CHECKING:
    from pipeline.models.sampling import Sampled, Sampler


class Asked(NamedTuple):
    """Prompts that are sampled together, and what names the random numbers of each."""

    prompts: Sequence[list[int]]
    """Token ids."""
    key: int
    """Of all random numbers, see `stream_key`."""
    rows: Sequence[int]
    """Of each prompt: its number among all that have this key."""


class Engine(Protocol):
    """Samples from the weights that a policy has at that moment."""

    def sample(self, sampler: "Sampler", asked: Asked, *, memory: CacheMemory | None = None) -> "list[Sampled]":
        """One response to each prompt, in their order, with the log-probs under which its tokens were drawn.

        The random numbers of a prompt depend on its key and row alone, so that it is answered alike in any company, up
        to rounding.

        Args:
            sampler: policy, length, temperature, truncation, and the tokens that end a response.
            memory: for a key-value cache here.

        Raises:
            PipelineError: the engine cannot sample from this policy.
        """
