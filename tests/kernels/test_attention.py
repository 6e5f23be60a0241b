"""Grouped attention equals transformers' own, values and gradients, and refuses what it does not have."""

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, BertConfig, BertModel, LlamaConfig, Qwen2Config

from pipeline.kernels.attention import grouped_attention
from pipeline.kernels.probes import reads_branches


def oracle(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """Head by head, query by query."""
    rows, heads, length, _ = query.shape
    output = torch.zeros_like(query)
    for row in range(rows):
        for head in range(heads):
            shared = head * key.shape[1] // heads
            for at in range(length):
                scores = key[row, shared] @ query[row, head, at] * scaling
                if mask is not None:
                    scores = scores + mask[min(row, len(mask) - 1), 0, at]
                output[row, head, at] = scores.softmax(0) @ value[row, shared]
    return output.transpose(1, 2)


@pytest.mark.parametrize("heads_of_keys", [1, 2, 6])
@pytest.mark.parametrize("masked", ["no", "one for all rows", "one a row"])
def test_values_and_gradients_equal_a_loop(heads_of_keys: int, masked: str) -> None:
    generator = torch.Generator().manual_seed(heads_of_keys)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    query, key, value = normal(2, 6, 3, 4), normal(2, heads_of_keys, 5, 4), normal(2, heads_of_keys, 5, 4)
    mask = None
    if masked != "no":
        hidden = torch.rand(1 if masked == "one for all rows" else 2, 1, 3, 5, generator=generator) < 0.4
        hidden[..., 0] = False
        mask = torch.zeros(hidden.shape, dtype=torch.float64).masked_fill(hidden, -1e30)
    upstream = torch.randn(2, 3, 6, 4, generator=generator, dtype=torch.float64)
    expected = oracle(query, key, value, mask, 0.3)
    gradients = torch.autograd.grad((expected * upstream).sum(), (query, key, value))
    ours, weights = grouped_attention(torch.nn.Module(), query, key, value, mask, scaling=0.3)
    assert weights is None
    # the softmax is in fp32
    assert torch.allclose(ours, expected, atol=1e-6)
    for found, gradient in zip(
        torch.autograd.grad((ours * upstream).sum(), (query, key, value)), gradients, strict=True
    ):
        assert torch.allclose(found, gradient, atol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=64,
            vocab_size=64,
        ),
        Qwen2Config(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=1,
            intermediate_size=64,
            vocab_size=64,
        ),
    ],
    ids=["llama", "qwen2"],
)
@pytest.mark.parametrize("padding", ["left", "right"])
def test_a_decoder_computes_what_it_does_with_eager(config: LlamaConfig, padding: str) -> None:
    ids = torch.randint(64, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    if padding == "right":
        mask = mask.flip(1)
    results = []
    for attention in ("eager", "grouped"):
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
        logits = network(input_ids=ids, attention_mask=mask).logits[mask.bool()]
        logits.square().sum().backward()
        results.append((logits, [parameter.grad for parameter in network.parameters()]))
    (eager, eager_gradients), (grouped, gradients) = results
    assert torch.allclose(grouped, eager, atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(gradients, eager_gradients, strict=True))


def test_an_encoder_computes_what_it_does_with_eager() -> None:
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, vocab_size=64)
    ids = torch.randint(64, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    states = []
    for attention in ("eager", "grouped"):
        torch.manual_seed(0)
        network = BertModel._from_config(config, attn_implementation=attention).eval()
        states.append(network(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()])
    assert torch.allclose(*states, atol=1e-5)


def test_in_bf16_one_matrix_of_probabilities_is_kept() -> None:
    query = torch.randn(1, 4, 8, 32, dtype=torch.bfloat16, requires_grad=True)
    key = torch.randn(1, 2, 8, 32, dtype=torch.bfloat16, requires_grad=True)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        grouped_attention(torch.nn.Module(), query, key, key, None)
    probabilities = [tensor for tensor in kept if tensor.numel() == 4 * 8 * 8]
    assert len(probabilities) == 1 and probabilities[0].dtype == torch.bfloat16


@pytest.mark.parametrize("options", [{"dropout": 0.1}, {"softcap": 30.0}, {"s_aux": torch.zeros(4)}], ids=str)
def test_what_it_does_not_have_is_refused(options: dict[str, object]) -> None:
    tensor = torch.zeros(1, 4, 2, 8)
    with pytest.raises(ValueError, match=r"runtime\.attention"):
        grouped_attention(torch.nn.Module(), tensor, tensor, tensor, None, **options)


def test_it_reads_responses_that_share_a_prompt() -> None:
    config = LlamaConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, vocab_size=64
    )
    torch.manual_seed(0)
    assert reads_branches(AutoModelForCausalLM.from_config(config, attn_implementation="grouped").eval())
