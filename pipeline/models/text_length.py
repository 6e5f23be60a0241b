"""How many tokens a network can read, from its config alone."""

from typing import Any

_COUNTED_FROM_PADDING = frozenset(
    (
        "camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta",
        "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
    )
)  # fmt: skip
"""Families whose first token is at the position behind the padding token's id, so that as many positions are never
used: the 514 of RoBERTa are 512 tokens."""


def longest_text(config: Any) -> int | None:
    """Tokens that a network has positions for, by its transformers config; None where it sets no limit."""
    config = config.get_text_config()
    positions: int | None = getattr(config, "max_position_embeddings", None)
    if positions is None or config.model_type not in _COUNTED_FROM_PADDING:
        return positions
    padding = getattr(config, "pad_token_id", None)
    return positions - (1 if padding is None else padding + 1)
