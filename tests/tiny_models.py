"""Models of two layers and a tokenizer of a few hundred entries, built from their config classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from pipeline.params.base import Finetuning, Section
from pipeline.params.schema import Runtime

LORA = Finetuning(method="lora", lora_r=4, lora_alpha=8, lora_target_modules="all-linear")
FULL = Finetuning(method="full", lora_r=4, lora_alpha=8, lora_target_modules="all-linear")
RUNTIME = Runtime(
    device="cpu",
    precision="fp32",
    threads=1,
    attention="grouped",
    merged_sampling=True,
    max_forward_tokens=64,
    recompute=False,
)
"""One thread in fp32, so that results are the same wherever tests run."""

SENTENCES = [
    "This film was a joy from start to end",
    "The plot is weak and the acting is dull",
    "I loved the music, the story and the hero",
    "A boring waste of time that nobody needs",
    "The ending is clever and the jokes are funny",
    "My friends hated it, and so did I",
]

SectionT = TypeVar("SectionT", bound=Section)


def changed(section: SectionT, **values: Any) -> SectionT:
    """A copy of a params section with some values replaced, checked like the file is."""
    return type(section).model_validate({**section.model_dump(), **values})


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with distinct pad, BOS and EOS; it adds no special tokens by itself, like GPT-2 and SmolLM."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<pad>", "<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """[CLS] words [SEP], like BERT's."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def llama_config(tokenizer: PreTrainedTokenizerFast, **changes: Any) -> LlamaConfig:
    """Weights are drawn wide, so that next-token distributions are far from uniform."""
    return LlamaConfig(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128,
            "initializer_range": 0.2,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        }
        | changes
    )


def save_llama_policy(folder: Path, tokenizer: PreTrainedTokenizerFast, *, seed: int = 0) -> None:
    """A causal language model as a checkpoint folder."""
    torch.manual_seed(seed)
    _save(LlamaForCausalLM(llama_config(tokenizer)), tokenizer, folder)


def save_llama_backbone(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """A decoder without a head."""
    torch.manual_seed(1)
    _save(LlamaModel(llama_config(tokenizer)), tokenizer, folder)


def save_bert_backbone(folder: Path) -> None:
    """An encoder without a head."""
    tokenizer = word_tokenizer(sorted({word for text in SENTENCES for word in text.replace(",", " ").split()}))
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.2,
        pad_token_id=tokenizer.pad_token_id,
    )
    _save(BertModel(config), tokenizer, folder)


def save_bought_reward_model(folder: Path, kind: str, decoder_folder: Path) -> None:
    """A finished reward model as others publish it: an encoder with a wrapped head, or a decoder without pad id."""
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    wide: dict[str, Any] = {**sizes, "initializer_range": 0.5}
    words = word_tokenizer(sorted({word for text in SENTENCES for word in text.lower().split()}))
    tokenizer: PreTrainedTokenizerFast = words
    network: PreTrainedModel
    if kind == "deberta":
        config = DebertaV2Config(vocab_size=len(words), num_labels=1, pooler_hidden_size=32, **wide)
        network = DebertaV2ForSequenceClassification(config)
    elif kind == "roberta":
        network = RobertaForSequenceClassification(
            RobertaConfig(vocab_size=len(words), num_labels=1, max_position_embeddings=66, pad_token_id=0, **wide)
        )
    else:
        tokenizer = byte_level_tokenizer()
        network = LlamaForSequenceClassification.from_pretrained(decoder_folder, num_labels=1)
        network.config.pad_token_id = None
    for name, parameter in network.named_parameters():
        if name.startswith(("score", "classifier")):
            torch.nn.init.normal_(parameter, std=0.5)
    _save(network, tokenizer, folder)


def _save(network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
