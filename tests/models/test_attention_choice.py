"""Families that the fastest attention does not compute are read with the one that they were trained with."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    FalconConfig,
    Gemma2Config,
    GPTJConfig,
    GptOssConfig,
    LlamaConfig,
    PretrainedConfig,
)

from pipeline.data.tokens import TokenizedExample
from pipeline.models.attention_choice import attention_for
from pipeline.models.compute import Compute
from pipeline.models.policy import load_policy
from pipeline.models.reward_loading import load_reward_model
from pipeline.models.scoring import response_logps
from tests.tiny_models import byte_level_tokenizer

SMALL: dict[str, Any] = {
    "vocab_size": 320, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.5,
}  # fmt: skip
OTHERS: dict[str, PretrainedConfig] = {
    "gemma2": Gemma2Config(**SMALL, num_key_value_heads=2, head_dim=8, attn_logit_softcapping=0.5),
    "gpt_oss": GptOssConfig(**SMALL, num_key_value_heads=2, head_dim=8, num_local_experts=2, num_experts_per_tok=1),
    "falcon": FalconConfig(**SMALL),
    "gptj": GPTJConfig(vocab_size=320, n_embd=32, n_layer=2, n_head=4, rotary_dim=8, bos_token_id=1, eos_token_id=2),
}


@pytest.mark.parametrize("family", OTHERS)
def test_a_policy_of_such_a_family_has_the_log_probs_of_its_own_attention(
    family: str, tmp_path: Path, compute: Compute
) -> None:
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(OTHERS[family], attn_implementation="eager").eval()
    network.save_pretrained(tmp_path)
    byte_level_tokenizer().save_pretrained(tmp_path)
    prompt, response = [5, 6, 7], [8, 9, 10, 11]
    with torch.no_grad():
        logprobs = network(torch.tensor([prompt + response])).logits[0].float().log_softmax(-1)
        example = TokenizedExample(prompt, response)
        policy = load_policy(tmp_path, compute, finetuning=None)
        found = response_logps(policy, [example, example], compute, pad_token_id=0)
    wanted = logprobs[len(prompt) - 1 : -1].gather(1, torch.tensor(response)[:, None]).sum().item()
    assert found.tolist() == pytest.approx([wanted, wanted], rel=1e-4)


def test_a_reward_model_is_read_so_too(tmp_path: Path, compute: Compute) -> None:
    config = Gemma2Config(**SMALL, num_key_value_heads=2, head_dim=8, attn_logit_softcapping=0.5, num_labels=1)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    byte_level_tokenizer().save_pretrained(tmp_path)
    assert load_reward_model(tmp_path, compute).network.config._attn_implementation == "eager"


def test_others_keep_what_the_machine_is_fastest_with() -> None:
    llama, falcon = LlamaConfig(**SMALL), OTHERS["falcon"]
    for attention in ("grouped", "flex", "sdpa", "eager", "flash_attention_2", None):
        assert attention_for(llama, attention) == attention
    assert attention_for(falcon, "sdpa") == "sdpa"
    assert attention_for(OTHERS["gemma2"], "flash_attention_2") == "flash_attention_2"
    assert attention_for(Gemma2Config(**SMALL, attn_logit_softcapping=None), "grouped") == "grouped"
