"""What the losses of a reward model say about its training: checked when it ends, and again by the report."""

import math
from collections.abc import Sequence

_LARGEST_INITIAL_DISTANCE = 0.2
_SMALLEST_FALL = 0.02


def initial_loss_problem(loss: float) -> str | None:
    """A warning where the first Bradley-Terry loss (nats) is far from ln 2, near which a fresh head puts it.

    `shrink_fresh_head` leaves margins of 0.3 at most (root mean square of many pairs, a batch has a little more), whose
    loss is within 0.2 of ln 2 for an encoder and for a decoder.
    """
    if abs(loss - math.log(2)) <= _LARGEST_INITIAL_DISTANCE:
        return None
    seen = f"The loss before training was {loss:.3f}, far from ln 2 = {math.log(2):.3f}"
    return f"{seen}. A fresh reward head should rank at random. Start its last layer near zero, and check the labels."


def flat_loss_problem(losses: Sequence[float]) -> str | None:
    """A warning where the loss (nats, one value an optimiser step) is no lower in the last tenth than in the first."""
    window = max(1, len(losses) // 10)
    if len(losses) < 2 * window:
        return None
    first, last = (sum(part) / window for part in (losses[:window], losses[-window:]))
    if first - last >= _SMALLEST_FALL:
        return None
    seen = f"The loss did not fall: {first:.3f} in the first {window} steps, {last:.3f} in the last {window}"
    meaning = "The reward model learned nothing from the pairs"
    return f"{seen}. {meaning}. Raise the learning rate, train for more epochs, and check that labels are not random."
