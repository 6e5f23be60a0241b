"""What a stage computes: operations of its matrix products, by how fast each kind runs.

One multiplication with its addition counts as two operations. A forward pass takes two for each weight and token, and
attention two products of every token with those before it.
"""

from collections import Counter
from dataclasses import dataclass, field

from pipeline.models.footprint import NetworkSize
from pipeline.params.base import Finetuning

TRAINING, SCORING, SAMPLING = "training", "scoring", "sampling"


@dataclass(frozen=True)
class Kind:
    """Matrix products that run at the same speed."""

    name: str
    """`TRAINING`, `SCORING` or `SAMPLING`."""
    number: int
    """Bytes of a number."""
    rows: int
    """Rows of the left matrix: tokens that pass at once."""
    width: int
    inner: int
    """With `width`, the shape of the largest weight."""


@dataclass
class Labour:
    """What a stage computes: operations by kind, and the tokens of its main work."""

    tokens: float = 0.0
    operations: Counter[Kind] = field(default_factory=Counter)

    def add(self, name: str, size: NetworkSize, operations: float, *, number: int, rows: float = 1024) -> None:
        """Add operations of a network.

        Args:
            rows: tokens that pass at once.
        """
        kind = Kind(name, number, max(1, round(rows)), size.width, size.inner)
        self.operations[kind] += round(operations)


def forward(size: NetworkSize, *, tokens: float, length: float, predicted: float = 0.0) -> float:
    """Operations of a forward pass.

    Args:
        tokens: in all.
        length: of a row, in the mean.
        predicted: tokens whose log-probs are needed.
    """
    products = 2 * size.layers * size.layer_weights * tokens
    # half of the square is masked
    attention = 2 * size.layers * size.query_width * length * tokens
    return products + attention + 2 * predicted * size.vocabulary * size.width


def passes(finetuning: Finetuning, *, recomputed: bool) -> int:
    """How many forward passes one step of training costs, with its backward pass and what that computes again.

    Frozen weights have no gradients of their own, which are half of a backward pass.
    """
    return (3 if finetuning.method == "full" else 2) + int(recomputed)
