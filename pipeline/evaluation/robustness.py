"""Whether a reward model gives a text one score, whatever is scored with it.

Published reward models do not always: their scores depend on the batch and on the padding, and so do the results
that people report with them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from pipeline.data.passages import Passage
from pipeline.models.reward import RewardModel


@torch.no_grad()
def score_deviations(model: RewardModel, texts: Sequence[Passage], *, batch_size: int) -> dict[str, float | None]:
    """Largest distance from the score of the text alone, in score units.

    Args:
        texts: of different lengths, or padding is not tested.

    Returns:
        `batch` (as the pipeline scores: texts of similar length together), `right_padding` and `left_padding` (texts
        in the given order). Left padding is None for encoders, which are read at their first token.
    """
    alone = _scores_in_order(model, texts, 1)
    sides = {"right_padding": "right", **({"left_padding": "left"} if model.is_decoder else {})}
    found: dict[str, float | None] = {
        "batch": _largest(model.score(texts, batch_size=batch_size), alone),
        "left_padding": None,
    }
    for name, side in sides.items():
        with padding_side(model.tokenizer, side):
            found[name] = _largest(_scores_in_order(model, texts, batch_size), alone)
    return found


def _scores_in_order(model: RewardModel, texts: Sequence[Passage], batch_size: int) -> torch.Tensor:
    starts = range(0, len(texts), batch_size)
    return torch.cat([model(*model.tokenize(texts[start : start + batch_size])).cpu() for start in starts])


def _largest(scores: torch.Tensor, alone: torch.Tensor) -> float:
    return float((scores - alone).abs().max())


@contextmanager
def padding_side(tokenizer: Any, side: str) -> Iterator[None]:
    """Pad on this side for a while."""
    before, tokenizer.padding_side = tokenizer.padding_side, side
    try:
        yield
    finally:
        tokenizer.padding_side = before
