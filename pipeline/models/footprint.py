"""What a transformer keeps in memory while it is trained, from its config alone.

Counted are the tensors that forward keeps for backward in a decoder of the Llama kind (norms, grouped attention with
rotary positions, a gated MLP); encoders and other decoders keep about as much for the same sizes. Of the counts, a
test allows 15 %.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pipeline.kernels.attention import GROUPED
from pipeline.kernels.branch_attention import FLEX
from pipeline.kernels.long_attention import is_long
from pipeline.models.attention_choice import attention_for


@dataclass(frozen=True)
class NetworkSize:
    """Sizes of one network; widths in numbers, not bytes."""

    layers: int
    width: int
    heads: int
    query_width: int
    key_width: int
    inner: int
    vocabulary: int
    gated: bool
    eager: frozenset[str] = frozenset()
    """Attentions of `runtime.attention` in whose place it is computed with plain matrix products."""

    @classmethod
    def of(cls, config: Any) -> "NetworkSize":
        """Of a transformers config; of a model that reads images, too, its text part."""
        config = config.get_text_config()
        heads = getattr(config, "num_attention_heads", None) or 1
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls(
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            heads=heads,
            query_width=heads * size,
            key_width=(getattr(config, "num_key_value_heads", None) or heads) * size,
            inner=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
            vocabulary=config.vocab_size,
            gated=hasattr(config, "rms_norm_eps"),
            eager=frozenset(one for one in (GROUPED, FLEX, "sdpa") if attention_for(config, one) == "eager"),
        )

    def computed_with(self, attention: str) -> str:
        """Args: attention: of the machine. Not every family supports it, see `attention_for`."""
        return "eager" if attention in self.eager else attention

    @property
    def layer_weights(self) -> int:
        """Of one layer's matrices."""
        attention = 2 * self.width * (self.query_width + self.key_width)
        return attention + (3 if self.gated else 2) * self.width * self.inner

    @property
    def weights(self) -> int:
        """Of all matrices, one of them for the vocabulary."""
        return self.layers * self.layer_weights + self.vocabulary * self.width

    def adapter_weights(self, rank: int) -> int:
        """Of LoRA adapters on all linear layers."""
        attention = 4 * self.width + 2 * self.query_width + 2 * self.key_width
        mlp = (3 if self.gated else 2) * (self.width + self.inner)
        return self.layers * rank * (attention + mlp)


def kept_bytes(
    size: NetworkSize, *, tokens: int, length: int, full: bool, attention: str = "grouped", number: int = 2
) -> int:
    """Bytes of activations that forward keeps for backward where nothing is computed again.

    Args:
        tokens: that pass at once, padding included.
        length: of the longest row.
        full: all weights are trained, so fp32 weights are cast, and their inputs and casts are kept.
        attention: one of runtime.attention.
        number: bytes of a number of the matrix products.
    """
    return size.layers * _layer_bytes(size, tokens=tokens, length=length, full=full, attention=attention, number=number)


def recomputed_bytes(
    size: NetworkSize, *, tokens: int, length: int, full: bool, attention: str = "grouped", number: int = 2
) -> int:
    """The same where the layers are computed again: their inputs, results of long attention, and one layer in full."""
    one = _layer_bytes(size, tokens=tokens, length=length, full=full, attention=attention, number=number)
    attended = size.computed_with(attention) == GROUPED and is_long(length, length)
    row = size.width * (4 if full else number) + (size.query_width * number if attended else 0)
    return size.layers * tokens * row + one


def too_much_to_keep(network: Any, input_ids: Tensor, *, limit: int | None) -> bool:
    """Whether forward would keep more than `limit` bytes for backward, of token ids (B, T) with their padding.

    Args:
        network: transformers' model.
        limit: None is no limit.
    """
    if limit is None:
        return False
    rows, length = input_ids.shape
    full = any(parameter.requires_grad and parameter.ndim == 2 for parameter in _frozen_when_adapted(network))
    size = NetworkSize.of(network.config)
    attention = network.config._attn_implementation
    return kept_bytes(size, tokens=rows * length, length=length, full=full, attention=attention) > limit


def _frozen_when_adapted(network: nn.Module) -> Iterator[nn.Parameter]:
    """Weights of layers that adapters leave as they are."""
    return (parameter for name, parameter in network.named_parameters() if "lora_" not in name)


def _layer_bytes(size: NetworkSize, *, tokens: int, length: int, full: bool, attention: str, number: int) -> int:
    # inputs of the products, and the sums and norms in fp32; in fp32 full fine-tuning casts none of them
    width = (28 if full else 3 * number + 8) * size.width
    row = width + number * (size.query_width + 2 * size.key_width + (4 if size.gated else 3) * size.inner)
    attention = size.computed_with(attention)
    matrices = attention == "eager" or (attention == "grouped" and not is_long(length, length))
    weights = (2 if attention == "eager" else 1) * size.heads * length * number if matrices else 0
    casts = number * size.layer_weights if full and number < 4 else 0
    return tokens * (row + weights) + casts
