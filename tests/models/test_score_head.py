"""The score head is found in every family, keeps its parameters, and gets its stored bias back."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from pipeline.models.heads import Fp32Linear
from pipeline.models.score_head import (
    add_head_bias,
    compute_head_in_fp32,
    is_decoder,
    restore_head,
    score_head,
)

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 20}
IDS = torch.tensor([[5, 6, 7, 8]])


def network(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    made: dict[str, PreTrainedModel] = {
        "llama": LlamaForSequenceClassification(LlamaConfig(**SIZES, num_labels=1, pad_token_id=0)),
        "bert": BertForSequenceClassification(BertConfig(**SIZES, num_labels=1)),
        "roberta": RobertaForSequenceClassification(RobertaConfig(**SIZES, num_labels=1, pad_token_id=1)),
    }
    return made[kind].eval()


@pytest.mark.parametrize("kind", ["llama", "bert", "roberta"])
def test_the_head_is_the_layer_that_makes_the_scores(kind: str) -> None:
    model = network(kind)
    with torch.no_grad():
        before = model(IDS).logits
        score_head(model).weight.mul_(2)
        after = model(IDS).logits
    # fresh heads of encoders have a bias of 0
    assert torch.allclose(after, 2 * before) and before.abs().item() > 1e-4
    assert is_decoder(model) == (kind == "llama")


@pytest.mark.parametrize("kind", ["llama", "bert", "roberta"])
def test_in_fp32_it_has_the_same_parameters_at_the_same_place(kind: str) -> None:
    model = network(kind)
    names, scores = [name for name, _ in model.named_parameters()], model(IDS).logits
    compute_head_in_fp32(model)
    assert type(score_head(model)) is Fp32Linear
    assert [name for name, _ in model.named_parameters()] == names
    assert torch.equal(model(IDS).logits, scores)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(IDS).logits.dtype == torch.float32


def test_only_a_decoder_gets_a_bias() -> None:
    decoder, encoder = network("llama"), network("bert")
    score_head(encoder).bias = None
    for model in (decoder, encoder):
        add_head_bias(model)
    assert score_head(decoder).bias.tolist() == [0.0] and score_head(decoder).bias.requires_grad
    assert score_head(encoder).bias is None


def test_a_stored_bias_comes_back(tmp_path: Path) -> None:
    model = network("llama")
    save_file({"other": torch.zeros(1)}, tmp_path / "model-00001.safetensors")
    restore_head(model, tmp_path)
    assert score_head(model).bias.tolist() == [0.0], "a bought model has none"
    save_file({"score.bias": torch.tensor([1.5])}, tmp_path / "model-00002.safetensors")
    restore_head(model, tmp_path)
    assert score_head(model).bias.tolist() == [1.5]
