"""The estimate of what training keeps, against what autograd really keeps."""

import pytest
import torch
from transformers import Gemma2Config, LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config

from pipeline.data.tokens import TokenizedExample
from pipeline.kernels.packed_states import packed_states
from pipeline.kernels.packing import pack_groups
from pipeline.models.adapters import add_adapters
from pipeline.models.footprint import NetworkSize, kept_bytes
from pipeline.params.base import Finetuning
from tests.models.counting import bytes_kept

LORA = Finetuning(method="lora", lora_r=16, lora_alpha=32, lora_target_modules="all-linear")
SIZES = [(256, 4, 4, 512), (192, 3, 1, 512), (128, 8, 2, 1024)]


def network(layers: int, size: tuple[int, int, int, int], *, full: bool, dtype: torch.dtype) -> PreTrainedModel:
    width, heads, shared, inner = size
    config = LlamaConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        intermediate_size=inner,
        vocab_size=64,
    )
    built = LlamaForCausalLM._from_config(config, attn_implementation="grouped")
    if not full:
        built.to(dtype).requires_grad_(False)
        add_adapters(built, LORA, task="CAUSAL_LM", seed=0, name="test")
    return built


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("full", [False, True], ids=["lora", "full"])
@pytest.mark.parametrize("length", [128, 400])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
def test_the_layers_keep_what_is_estimated(
    size: tuple[int, int, int, int], full: bool, length: int, dtype: torch.dtype
) -> None:
    counted = []
    for layers in (1, 3):
        one = network(layers, size, full=full, dtype=dtype)
        example = TokenizedExample([1] * (length // 2), [2] * (length // 2))
        rows = pack_groups([[example]] * 2, pad_token_id=0)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            counted.append(
                bytes_kept(lambda one=one, rows=rows: packed_states(one.base_model, rows, rows.state_index), one)
            )  # type: ignore[misc]
    sizes = {"tokens": 2 * length, "length": length, "number": dtype.itemsize}
    estimated = kept_bytes(NetworkSize.of(one.config), **sizes, full=full)
    assert (counted[1] - counted[0]) / 2 == pytest.approx(estimated / 3, rel=0.15)


@pytest.mark.parametrize("config", [LlamaConfig, Qwen2Config])
def test_weights_are_counted(config: type[LlamaConfig]) -> None:
    built = LlamaForCausalLM(
        LlamaConfig(hidden_size=96, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
                    intermediate_size=160, vocab_size=500, tie_word_embeddings=True)
    )  # fmt: skip
    counted = sum(parameter.numel() for parameter in built.parameters())
    assert NetworkSize.of(built.config).weights == pytest.approx(counted, rel=0.01)
    adapted = add_adapters(built.requires_grad_(False), LORA, task="CAUSAL_LM", seed=0, name="test")
    adapters = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    assert NetworkSize.of(built.config).adapter_weights(16) == adapters


@pytest.mark.parametrize("attention", ["grouped", "sdpa"])
def test_families_with_caps_or_sinks_keep_the_squares_of_plain_attention(attention: str) -> None:
    """A row of 2,048 tokens for each head; without a cap the same family is computed as others are."""
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    capped, plain = (
        NetworkSize.of(Gemma2Config(**sizes, head_dim=16, attn_logit_softcapping=cap)) for cap in (50.0, None)
    )
    counted, other, eager = (
        kept_bytes(size, tokens=4096, length=2048, full=False, attention=how)
        for size, how in ((capped, attention), (plain, attention), (plain, "eager"))
    )
    assert counted == eager
    assert counted - other == 2 * 2 * 2 * 4096 * 2048 * 4, "layers, copies, bytes; rows x heads x length x length"
