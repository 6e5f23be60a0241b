"""Which attention a network is computed with: not every model family supports the fastest one of the machine."""

from transformers import PretrainedConfig

from pipeline.kernels.attention import GROUPED
from pipeline.kernels.branch_attention import FLEX

_SINKS = frozenset({"gpt_oss"})
"""Model families with attention sinks: their attention scores have one more column."""
_OWN_CLASSES = frozenset({"falcon", "gptj"})
"""Families that know the attentions of transformers by name, and no others."""


def attention_for(config: PretrainedConfig, attention: str | None) -> str | None:
    """The attention that this network computes what it was trained to compute with.

    Gemma 2 caps its scores, and gpt-oss has sinks: grouped and FlexAttention have neither, and sdpa drops the cap
    silently. They are computed with transformers' plain matrix products.

    Args:
        config: of the network.
        attention: as of `choose_attention`; None is transformers' own choice.
    """
    text = config.get_text_config()
    capped = bool(getattr(text, "attn_logit_softcapping", None)) or text.model_type in _SINKS
    if capped and attention in (GROUPED, FLEX, "sdpa"):
        return "eager"
    return "eager" if text.model_type in _OWN_CLASSES and attention in (GROUPED, FLEX) else attention
