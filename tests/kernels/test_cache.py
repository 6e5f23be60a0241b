"""A cache with room, whose rows leave, holds what a growing one of each row alone holds."""

from collections.abc import Iterator

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
from pipeline.kernels.cache import CacheMemory, RowCache, is_plain
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
    cache = RowCache.of([read(network, part) for part in parts], torch.tensor([1, 2, 0, 1]), length=6, room=2, new=5)
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
    cache = RowCache.of([read(network, [PROMPTS[1], PROMPTS[0]])], torch.tensor([0, 1]), length=6, room=3, new=3)
    cache.keep(torch.tensor([0]), room=4)
    assert {layer.keys.shape[2] for layer in cache.layers.layers} == {1 + 4}
    mask, positions = cache.next_token()
    assert mask.tolist() == [[True, True, False, False, False]] and positions.tolist() == [[1]]


@torch.no_grad()
def test_without_room_nothing_is_read(make_policy: PolicyMaker) -> None:
    network = make_policy().causal_lm
    cache = RowCache.of([read(network, PROMPTS)], torch.arange(3), length=6, room=1, new=1)
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
    parts = [read(network, PROMPTS[:1]), read(network, PROMPTS[1:])]
    with pytest.raises(ValueError, match="one part"):
        RowCache.of(parts, torch.arange(3), length=6, room=1, new=1)


ROWS, LENGTH, NEW = 40, 6, 9


@torch.no_grad()
def test_there_is_one_cache_from_the_first_token_to_the_last(make_policy: PolicyMaker) -> None:
    """Of the size of all rows at their full length, while prompts are read, rows leave, and room is made."""
    network = make_policy().causal_lm
    read_parts = 0

    def parts() -> Iterator[tuple[DynamicCache, torch.Tensor]]:
        nonlocal read_parts
        earlier: list[DynamicCache] = []
        for prompt in PROMPTS:
            assert all(layer.keys is None for cache in earlier for layer in cache.layers), "it is held twice"
            cache, mask = read(network, [prompt])
            earlier.append(cache)
            read_parts += 1
            yield cache, mask

    cache = RowCache.of(parts(), torch.arange(ROWS) % 3, length=LENGTH, room=2, new=NEW)
    assert read_parts == 3
    layers = cache.layers.layers
    place = layers[0].keys.untyped_storage().data_ptr()
    config = network.config
    numbers = 2 * len(layers) * config.hidden_size // config.num_attention_heads * config.num_key_value_heads
    assert layers[0].keys.untyped_storage().nbytes() <= ROWS * (LENGTH + NEW) * numbers * 4 + 2 * len(layers) * 256
    for rows in (torch.arange(ROWS), torch.arange(ROWS)[ROWS // 2 :], torch.tensor([3, 1])):
        cache.keep(rows, room=NEW)
        for layer in layers:
            for states in (layer.keys, layer.values):
                assert states.is_contiguous() and states.untyped_storage().data_ptr() == place


@torch.no_grad()
def test_the_next_rows_lie_in_the_same_memory(make_policy: PolicyMaker) -> None:
    """What is found there does not matter."""
    network, memory = make_policy().causal_lm, CacheMemory(4 * 20)
    places = set()
    for prompts in (PROMPTS, PROMPTS[1:], [[7] * 17] * 4):
        width = max(map(len, prompts))
        rows = torch.arange(len(prompts))
        caches = [
            RowCache.of([read(network, prompts)], rows, length=width, room=2, new=3, memory=kept)
            for kept in (memory, None)
        ]
        for kept, alone in zip(*(cache.layers.layers for cache in caches), strict=True):
            assert torch.equal(kept.keys, alone.keys) and torch.equal(kept.values, alone.values)
            places.add(kept.keys.untyped_storage().data_ptr())
        caches[0].layers.layers[0].keys.untyped_storage().fill_(255)
    assert len(places) == 1


@pytest.mark.parametrize("seed", range(20))
def test_rows_that_move_in_place_are_what_copies_of_them_are(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def number(least: int, most: int) -> int:
        return int(torch.randint(least, most + 1, (), generator=generator))

    layers = DynamicCache()
    layers.update(torch.randn(ROWS, 2, LENGTH, 4, generator=generator), torch.randn(ROWS, 2, LENGTH, 3), 0)
    expected = [layers.layers[0].keys, layers.layers[0].values]
    mask = torch.arange(LENGTH) >= torch.randint(0, LENGTH, (ROWS, 1), generator=generator)
    room, left = number(0, 3), NEW
    cache = RowCache.of([(layers, mask)], torch.arange(ROWS), length=LENGTH, room=room, new=NEW)
    starts, length = LENGTH - mask.sum(1), LENGTH
    while len(starts) > 1:
        layer, here = cache.layers.layers[0], len(starts)
        for _ in range(room):
            cache.next_token()
            more = torch.randn(here, 2, 1, 4, generator=generator), torch.randn(here, 2, 1, 3, generator=generator)
            layer.update(*more)
            expected = [torch.cat(both, 2) for both in zip(expected, more, strict=True)]
        length, left = length + room, left - room
        order = torch.randperm(here, generator=generator)[: number(1, here)]
        rows = order if number(0, 1) else order.sort().values
        room = number(0, left)
        cache.keep(rows, room=room)
        first = int(starts[rows].min())
        starts, length = starts[rows] - first, length - first
        expected = [states[rows][:, :, first:] for states in expected]
        for found, states in zip((layer.keys, layer.values), expected, strict=True):
            assert torch.equal(found[:, :, :length], states) and not bool(found[:, :, length:].any())
            assert found.shape[2] == length + room
