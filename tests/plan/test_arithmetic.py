"""Operations of a forward pass against torch's own counter."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from pipeline.models.footprint import NetworkSize
from pipeline.plan.arithmetic import SAMPLING, TRAINING, Labour, forward, passes
from pipeline.plan.speed import EFFICIENCY, START, Clock, GivenRates
from tests.tiny_models import FULL, LORA

CONFIG = LlamaConfig(
    hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=512, attn_implementation="eager",
)  # fmt: skip


@pytest.mark.parametrize(("rows", "length"), [(1, 16), (3, 32)])
def test_operations_are_those_that_torch_counts(rows: int, length: int) -> None:
    """Torch counts the whole square of attention, of which the estimate leaves out what a causal mask hides."""
    with torch.device("meta"):
        network, ids = LlamaForCausalLM(CONFIG), torch.zeros((rows, length), dtype=torch.long)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(input_ids=ids)
    size, tokens = NetworkSize.of(CONFIG), rows * length
    hidden = 2 * size.layers * size.query_width * length * tokens
    counted = forward(size, tokens=tokens, length=length, predicted=tokens) + hidden
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_backward_of_frozen_weights_is_half_of_one_that_trains_them() -> None:
    assert passes(LORA, recomputed=False) == 2 and passes(LORA, recomputed=True) == 3
    assert passes(FULL, recomputed=False) == 3 and passes(FULL, recomputed=True) == 4


def test_seconds_are_operations_by_rate_and_share() -> None:
    size, labour = NetworkSize.of(CONFIG), Labour()
    labour.add(TRAINING, size, 3e12, number=2)
    assert Clock(GivenRates(1e12)).seconds(labour, 5.0) == pytest.approx(START + 5.0 + 3.0 / EFFICIENCY[TRAINING])


def test_few_rows_at_once_are_slower_on_a_gpu() -> None:
    """A step of sampling reads every weight for a row each."""
    size, clock = NetworkSize.of(CONFIG), Clock(GivenRates(1e12))
    times = []
    for rows in (1, 10, 200, 400):
        labour = Labour()
        labour.add(SAMPLING, size, 1e12, number=2, rows=rows)
        times.append(clock.seconds(labour, 0.0) - START)
    assert times[0] == pytest.approx(10 * times[1]) and times[2] == pytest.approx(times[3])
