"""Whether a reward model gives a text the same score, whatever else is in the batch.

Published reward models do not always: their scores depend on the batch and on the padding, and so do the results
that people report with them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from pipeline.data.passages import Passage
from pipeline.group import map_dealt
from pipeline.models.reward import RewardModel


class Deviations(NamedTuple):
    """Largest distances from the score of a text alone, in score units."""

    batch: float
    """Texts of similar length together, as the pipeline scores them."""
    left_padding: float | None
    """As `right_padding`, with texts in the given order; None for encoders, which are read at their first token."""
    right_padding: float


@torch.no_grad()
def score_deviations(model: RewardModel, texts: Sequence[Passage], *, batch_size: int) -> Deviations:
    """Largest distance from the score of the text alone, in score units.

    Args:
        texts: of different lengths; with equal lengths nothing is padded, so padding is not tested.
    """
    alone = _scores_in_order(model, texts, 1)
    padded = {}
    for side in ("right", "left") if model.is_decoder else ("right",):
        with padding_side(model.tokenizer, side):
            padded[side] = _largest(_scores_in_order(model, texts, batch_size), alone)
    together = _largest(model.score(texts, batch_size=batch_size), alone)
    return Deviations(batch=together, right_padding=padded["right"], left_padding=padded.get("left"))


def _scores_in_order(model: RewardModel, texts: Sequence[Passage], batch_size: int) -> torch.Tensor:
    def scored(start: int) -> torch.Tensor:
        return model(*model.tokenize(texts[start : start + batch_size])).cpu()

    return torch.cat(list(map_dealt(scored, range(0, len(texts), batch_size))))


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
