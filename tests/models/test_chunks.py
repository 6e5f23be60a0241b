"""Chunks hold every prompt once, no more than fits, and little padding."""

import random
from itertools import pairwise

from transformers import LlamaConfig

from pipeline.models.chunks import cache_bytes, cache_places, plan_chunks
from pipeline.models.footprint import NetworkSize

SIZE = NetworkSize.of(
    LlamaConfig(hidden_size=576, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, head_dim=64)
)


def test_every_prompt_is_in_one_chunk_that_fits() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(1, 512) for _ in range(300)]
    chunks = plan_chunks(lengths, new=128, batch_size=40, places=12_000)
    assert sorted(row for chunk in chunks for row in chunk.rows) == list(range(300))
    for chunk in chunks:
        assert chunk.prompt == max(lengths[row] for row in chunk.rows)
        assert len(chunk.rows) <= 40 and chunk.places == len(chunk.rows) * (chunk.prompt + 128) <= 12_000
    # sorted, so that a chunk ends where the next begins
    for one, following in pairwise(chunks):
        assert min(lengths[row] for row in one.rows) >= following.prompt
    planned = sum(chunk.places for chunk in chunks)
    assert planned < 1.2 * (sum(lengths) + 300 * 128), "more than a sixth is padding"


def test_both_limits_are_reached() -> None:
    assert [len(chunk.rows) for chunk in plan_chunks([10] * 25, new=10, batch_size=10, places=1000)] == [10, 10, 5]
    assert [len(chunk.rows) for chunk in plan_chunks([10] * 25, new=10, batch_size=100, places=199)] == [9, 9, 7]
    assert plan_chunks([], new=10, batch_size=10, places=100) == []


def test_much_shorter_prompts_are_apart_where_there_are_many() -> None:
    lengths = [500] * 70 + [340, 342] + [100] * 80
    chunks = plan_chunks(lengths, new=140, batch_size=1000, places=10**6)
    assert [len(chunk.rows) for chunk in chunks] == [72, 80]
    assert [len(chunk.rows) for chunk in plan_chunks([500, *[10] * 60], new=9, batch_size=1000, places=10**6)] == [61]


def test_prompts_of_one_length_stay_in_their_order() -> None:
    assert [chunk.rows for chunk in plan_chunks([5, 7, 5, 7], new=1, batch_size=3, places=99)] == [(1, 3, 0), (2,)]


def test_a_prompt_beyond_the_room_is_alone() -> None:
    assert [chunk.rows for chunk in plan_chunks([3, 500, 4], new=10, batch_size=8, places=100)] == [(1,), (2, 0)]


def test_a_token_of_smollm2_takes_23_kilobytes() -> None:
    # 30 layers, keys and values of 3 heads of 64 numbers
    assert cache_bytes(SIZE, number=2) == 2 * 30 * 3 * 64 * 2 == 23_040
    assert cache_places(SIZE, number=2, memory=24 << 30) == (6 << 30) // 23_040
