"""Language models that are computed in a way of their own are refused; the usual ones pass in either number format."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from pipeline.errors import PipelineError
from pipeline.models.network_probe import check_network

SMALL = {
    "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
GPT2 = {"vocab_size": 320, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}
LARGE_LOGITS = 20.0


def network_of(family: str, dtype: torch.dtype, **values: Any) -> PreTrainedModel:
    """With weights that give logits of the size that trained models have."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **(GPT2 if family == "gpt2" else SMALL) | values)
    network = AutoModelForCausalLM.from_config(config).eval()
    head = network.get_output_embeddings().weight
    if head is not network.get_input_embeddings().weight:
        head.data.mul_(LARGE_LOGITS)
    return network.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    "family",
    [
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma",
        "gemma2",
        "gemma3_text",
        "phi",
        "gpt2",
        "gpt_neox",
        "granite",
        "cohere",
    ],
)
def test_the_usual_families_pass(family: str, dtype: torch.dtype) -> None:
    check_network(network_of(family, dtype), key="models.policy.source")


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("falcon_h1", {"lm_head_multiplier": 0.05, "mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8}),
        ("mamba", {"state_size": 8}),
    ],
)
def test_a_network_with_a_head_or_a_state_of_its_own_is_refused(family: str, values: dict[str, Any]) -> None:
    with pytest.raises(PipelineError, match=f"models.policy.source: a {family} .*way of its own.*Llama"):
        check_network(network_of(family, torch.float32, **values), key="models.policy.source")


def test_a_head_that_multiplies_is_refused_with_how_far_it_is_off() -> None:
    network = network_of("llama", torch.float32)
    plain = network.forward

    def multiplied(*args: Any, **options: Any) -> Any:
        output = plain(*args, **options)
        output.logits = output.logits * 1.05 + 1000.0  # which a softmax does not see
        return output

    network.forward = multiplied
    with pytest.raises(PipelineError, match=r"off by 4\.76%"):
        check_network(network, key="models.policy.source")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_a_cap_that_moves_small_logits_by_a_hundredth_is_refused(dtype: torch.dtype) -> None:
    network = network_of("llama", dtype)
    plain = network.forward

    def capped(*args: Any, **options: Any) -> Any:
        output = plain(*args, **options)
        cap = 5 * output.logits.std()
        output.logits = cap * torch.tanh(output.logits / cap)
        return output

    network.forward = capped
    with pytest.raises(PipelineError, match="off by"):
        check_network(network, key="models.policy.source")
