"""A cache with room, whose rows leave, holds what a growing one of each row alone holds."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    Gemma2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedModel,
    Qwen2Config,
)

from pipeline.kernels.attention import GROUPED
from pipeline.kernels.cache import RowCache, is_plain
from pipeline.models.backbone import position_ids
from pipeline.models.prompt_reading import pad_prompts
from tests.conftest import PolicyMaker

SIZES = {
    "vocab_size": 90,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
NETWORKS = {
    "llama": (LlamaConfig(**SIZES), "sdpa"),
    "grouped": (Qwen2Config(**SIZES), GROUPED),
    "sliding": (MistralConfig(**SIZES, sliding_window=4), "eager"),
    "mixed": (Gemma2Config(**SIZES, sliding_window=4), "eager"),
}
PROMPTS = [[11, 12, 13, 14, 15, 16], [30], [40, 41, 42]]
TOKENS = torch.tensor([[5, 6, 7, 8, 9], [21, 22, 23, 24, 25], [31, 32, 33, 34, 35], [71, 72, 73, 74, 75]])


def network_of(name: str) -> PreTrainedModel:
    config, attention = NETWORKS[name]
    torch.manual_seed(0)
    network: PreTrainedModel = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    return network.eval()


def read(network: PreTrainedModel, prompts: list[list[int]]) -> tuple[DynamicCache, torch.Tensor]:
    ids, mask = pad_prompts(prompts, pad_token_id=0)
    cache = DynamicCache(config=network.config)
    network(input_ids=ids, attention_mask=mask, position_ids=position_ids(mask), past_key_values=cache, use_cache=True)
    return cache, mask


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_rows_read_on_as_each_would_alone(name: str) -> None:
    network = network_of(name)
    plain = is_plain(DynamicCache(config=network.config))
    assert plain == (name in ("llama", "grouped"))
    parts = [[PROMPTS[1]], [PROMPTS[2], PROMPTS[0]]] if plain else [[PROMPTS[1], PROMPTS[2], PROMPTS[0]]]
    prompts = [PROMPTS[2], PROMPTS[0], PROMPTS[1], PROMPTS[2]]
    cache = RowCache.of([read(network, part) for part in parts], torch.tensor([1, 2, 0, 1]), room=2)
    alive = torch.arange(4)
    # the longest leaves, then one behind which nothing is left but the shortest; one order is another than before
    leaving = {1: torch.tensor([3, 0, 2]), 3: torch.tensor([2])}
    for step in range(5):
        if step in leaving:
            alive = alive[leaving[step]]
            cache.keep(leaving[step], room=2)
        elif cache.is_full:
            cache.keep(torch.arange(len(alive)), room=2)
        mask, positions = cache.next_token()
        found = network(
            input_ids=TOKENS[alive, step, None],
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache.layers,
            use_cache=True,
        ).logits[:, -1]
        for row, logits in zip(alive.tolist(), found, strict=True):
            alone = network(torch.tensor([prompts[row] + TOKENS[row, : step + 1].tolist()]), use_cache=False)
            assert torch.allclose(logits, alone.logits[0, -1], atol=1e-5)


@torch.no_grad()
def test_a_row_leaves_with_its_padding(make_policy: PolicyMaker) -> None:
    network = make_policy().causal_lm
    cache = RowCache.of([read(network, [PROMPTS[1], PROMPTS[0]])], torch.tensor([0, 1]), room=3)
    cache.keep(torch.tensor([0]), room=4)
    assert {layer.keys.shape[2] for layer in cache.layers.layers} == {1 + 4}
    mask, positions = cache.next_token()
    assert mask.tolist() == [[True, True, False, False, False]] and positions.tolist() == [[1]]


@torch.no_grad()
def test_without_room_nothing_is_read(make_policy: PolicyMaker) -> None:
    network = make_policy().causal_lm
    cache = RowCache.of([read(network, PROMPTS)], torch.arange(3), room=1)
    for full in (False, True):
        assert cache.is_full == full
        mask, positions = cache.next_token()
        arguments = {"attention_mask": mask, "position_ids": positions, "past_key_values": cache.layers}
        if full:
            with pytest.raises(ValueError, match="room for 7 tokens, not for 8"):
                network(input_ids=torch.tensor([[1], [2], [3]]), use_cache=True, **arguments)
        else:
            network(input_ids=torch.tensor([[1], [2], [3]]), use_cache=True, **arguments)


@torch.no_grad()
def test_caches_of_windows_are_not_joined() -> None:
    network = network_of("sliding")
    with pytest.raises(ValueError, match="one part"):
        RowCache.of([read(network, PROMPTS[:1]), read(network, PROMPTS[1:])], torch.arange(3), room=1)
