"""Reward models: what the score is read from, its invariances, its normalisation, and what is on disk."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertModel,
    GPT2Model,
    LlamaModel,
    OPTModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
)

from pipeline.data.tokens import ForwardLimit
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.reward import RewardModel
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from pipeline.preferences.pair import PreferencePair
from pipeline.training.reward import reference_mean
from tests.passages import ended
from tests.tiny_models import LORA, SENTENCES, byte_level_tokenizer, save_llama_backbone

TEXTS = ended([*SENTENCES, "dull", "This film"])


@pytest.fixture(params=["encoder", "decoder"])
def backbone(request: pytest.FixtureRequest, encoder_folder: Path, decoder_folder: Path) -> Path:
    return encoder_folder if request.param == "encoder" else decoder_folder


@pytest.fixture
def model(backbone: Path, compute: Compute) -> RewardModel:
    return create_reward_model(backbone, compute, max_length=64, seed=0).eval()


def test_scores_do_not_depend_on_the_other_rows(model: RewardModel) -> None:
    alone = torch.cat([model.score([text], batch_size=1) for text in TEXTS])
    for batch_size in (2, 3, 8):
        assert torch.allclose(model.score(TEXTS, batch_size=batch_size), alone, atol=1e-5)
    assert alone.std() > 0.1, "scores are all alike: the test shows nothing"


@pytest.mark.parametrize("side", ["left", "right"])
def test_scores_do_not_depend_on_the_padding_side(
    model: RewardModel, backbone: Path, tmp_path: Path, compute: Compute, side: str
) -> None:
    # a user's backbone whose tokenizer is configured to pad on this side
    shutil.copytree(backbone, tmp_path / "backbone")
    AutoTokenizer.from_pretrained(backbone, padding_side=side).save_pretrained(tmp_path / "backbone")
    sided = create_reward_model(tmp_path / "backbone", compute, max_length=64, seed=0).eval()
    alone = torch.cat([model.score([text], batch_size=1) for text in TEXTS])
    assert torch.allclose(sided.score(TEXTS, batch_size=8), alone, atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_scores_do_not_depend_on_the_padding_length(model: RewardModel, side: str) -> None:
    if side == "left" and not model.is_decoder:
        pytest.skip("an encoder is always padded on the right: [CLS] is its first token")
    ids, mask = model.tokenize(TEXTS[:1])
    model.tokenizer.padding_side = side
    wide = model.tokenizer.pad(
        {"input_ids": ids.tolist()}, padding="max_length", max_length=ids.shape[1] + 9, return_tensors="pt"
    )
    padded = model(wide["input_ids"], wide["attention_mask"])
    assert torch.allclose(padded, model(ids, mask), atol=1e-5)


def test_an_encoder_is_read_at_its_first_token(encoder_folder: Path, compute: Compute) -> None:
    model = create_reward_model(encoder_folder, compute, max_length=64, seed=0).eval()
    ids, mask = model.tokenize(TEXTS[:2])
    with torch.no_grad():
        pooled = model.network.bert(input_ids=ids, attention_mask=mask).pooler_output
        expected = pooled @ model.head.weight[0] + model.head.bias
    assert torch.allclose(model(ids, mask), expected, atol=1e-6)
    assert ids[:, 0].tolist() == [model.tokenizer.cls_token_id] * 2


def test_a_decoder_is_read_at_its_last_real_token(decoder_folder: Path, compute: Compute) -> None:
    model = create_reward_model(decoder_folder, compute, max_length=64, seed=0).eval()
    for text in TEXTS:
        ids = torch.tensor([[*model.tokenizer(text.text)["input_ids"], model.tokenizer.eos_token_id]])
        with torch.no_grad():
            state = model.network.model(ids).last_hidden_state[0, -1]
            expected = state @ model.head.weight[0] + model.head.bias
        assert torch.allclose(model.score([text, *ended([TEXTS[0].text * 2])], batch_size=2)[:1], expected, atol=1e-5)


def test_a_pad_id_inside_a_decoders_text_is_a_token_like_any_other(decoder_folder: Path, compute: Compute) -> None:
    model = create_reward_model(decoder_folder, compute, max_length=64, seed=0).eval()
    ids = torch.tensor([[20, 21, model.tokenizer.pad_token_id]])
    with torch.no_grad():
        expected = model.head(model.network.model(ids).last_hidden_state[0, -1])
    assert torch.allclose(model(ids, torch.ones_like(ids)), expected, atol=1e-5)


def test_the_new_head_has_its_scale_and_no_bias(tmp_path: Path, compute: Compute) -> None:
    tokenizer = byte_level_tokenizer()
    save_llama_backbone(tmp_path, tokenizer)
    weights = []
    for seed in range(60):
        head = create_reward_model(tmp_path, compute, max_length=32, seed=seed).head
        assert head.bias.item() == 0.0
        weights.append(head.weight.detach().flatten())
    drawn = torch.cat(weights)  # 1,920 numbers from N(0, 1 / 33)
    assert drawn.std().item() == pytest.approx(33**-0.5, rel=0.06)
    assert abs(drawn.mean().item()) < 4 * 33**-0.5 / len(drawn) ** 0.5


def test_the_head_follows_the_seed(backbone: Path, compute: Compute) -> None:
    heads = [create_reward_model(backbone, compute, max_length=64, seed=seed).head.weight for seed in (0, 0, 1)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_dropout_is_off(model: RewardModel) -> None:
    model.train()
    assert torch.equal(model.score(TEXTS, batch_size=8), model.score(TEXTS, batch_size=8))


@pytest.mark.parametrize("kind", [LlamaModel, OPTModel, BertModel, GPT2Model], ids=lambda kind: kind.__name__)
def test_dropout_that_is_a_number_is_off_too(kind: type[PreTrainedModel], tmp_path: Path, compute: Compute) -> None:
    """Llama has one in attention, OPT one in its layers and one that skips layers, BERT and GPT-2 have modules."""
    tokenizer = byte_level_tokenizer()
    config = kind.config_class(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, pad_token_id=0
    )
    rates = [name for name, value in vars(config).items() if "drop" in name and isinstance(value, float)]
    for name in rates:
        setattr(config, name, 0.5)
    assert rates
    kind(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = create_reward_model(tmp_path, compute, max_length=64, seed=0).train()
    batch = model.tokenize(TEXTS)
    assert torch.equal(model(*batch), model(*batch))


def test_shift_moves_the_mean_to_zero_and_keeps_differences(
    model: RewardModel, text_pairs: list[PreferencePair]
) -> None:
    before = model.score(TEXTS, batch_size=8)
    model.shift(reference_mean(model, text_pairs))
    assert reference_mean(model, text_pairs) == pytest.approx(0.0, abs=1e-5)
    after = model.score(TEXTS, batch_size=8)
    assert torch.allclose(after - after[0], before - before[0], atol=1e-5)


def test_a_saved_model_loads_with_the_same_scores(model: RewardModel, tmp_path: Path, compute: Compute) -> None:
    model.shift(2.5)
    scores = model.score(TEXTS, batch_size=8)
    model.save(tmp_path)
    loaded = load_reward_model(tmp_path, compute)
    assert torch.allclose(loaded.score(TEXTS, batch_size=8), scores, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in loaded.parameters()) and not loaded.training


def test_transformers_itself_reads_the_same_scores(model: RewardModel, tmp_path: Path) -> None:
    model.shift(2.5)
    scores = model.score(TEXTS, batch_size=8)
    model.save(tmp_path)
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    # a tokenizer that puts nothing behind a text leaves that to who scores a complete one
    end = model.tokenizer.eos_token if model.is_decoder else ""
    texts = [one.text + end for one in TEXTS]
    encoded = AutoTokenizer.from_pretrained(tmp_path)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        theirs = network(**{name: encoded[name] for name in ("input_ids", "attention_mask")}).logits.squeeze(-1)
    if model.is_decoder:
        # transformers gives a decoder's head no bias, so the shift is lost there: the same up to one constant
        theirs, scores = theirs - theirs[0], scores - scores[0]
    assert torch.allclose(theirs, scores, atol=1e-5)


def test_long_texts_lose_their_start_and_are_counted(backbone: Path, compute: Compute) -> None:
    model = create_reward_model(backbone, compute, max_length=6, seed=0)
    long = " ".join(SENTENCES)
    ids, mask = model.tokenize(ended([long, "dull"]))
    assert ids.shape[1] == 6
    end = model.encode(ended([SENTENCES[-1]]))[0][-3:]
    assert ids[0, -3:].tolist() == end
    assert mask[0].tolist() == [1] * 6
    assert model.texts.truncated(ended([long, "dull", long])) == 2


def test_no_more_tokens_than_the_model_has_positions(backbone: Path, compute: Compute) -> None:
    with pytest.raises(PipelineError, match=r"train_reward\.max_length is 999"):
        create_reward_model(backbone, compute, max_length=999, seed=0)


@pytest.mark.parametrize("switch", ["shared_prompts", "padding_free"])
def test_scores_and_gradients_of_pairs_are_those_of_the_plain_computation(
    model: RewardModel, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    monkeypatch.setattr("pipeline.models.reward.SCORED_TOKENS", 24)  # several parts of these few texts
    encoded = model.encode([*TEXTS, *ended(["This film", "This film was dull"])])
    pairs = list(zip(encoded[::2], encoded[1::2], strict=True))
    assert len({len(ids) for ids in encoded}) > 3
    weights = torch.linspace(-1, 1, len(pairs))
    results = []
    for on in (True, False):
        setattr(model, switch, on)
        model.zero_grad()
        first, second = model.forward_pairs(pairs)
        (weights * (first - 2 * second)).sum().backward()
        results.append((torch.stack([first, second]), [p.grad for p in model.parameters() if p.grad is not None]))
    (scores, gradients), (plain_scores, plain_gradients) = results
    assert torch.allclose(scores, plain_scores, atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(gradients, plain_gradients, strict=True))


@pytest.fixture
def roberta_folder(encoder_folder: Path, tmp_path: Path) -> Path:
    """Its head has a layer of its own before the scores, and its 42 positions are 40 tokens."""
    shutil.copytree(encoder_folder, tmp_path / "roberta")
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=42, pad_token_id=1,
    )  # fmt: skip
    RobertaModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "roberta")
    return tmp_path / "roberta"


def test_what_transformers_fills_by_itself_depends_on_the_seed_alone(roberta_folder: Path, compute: Compute) -> None:
    dense = []
    for state, seed in ((1, 0), (2, 0), (2, 3)):
        torch.manual_seed(state)
        model = create_reward_model(roberta_folder, compute, max_length=40, seed=seed)
        dense.append(model.network.classifier.dense.weight)
    assert torch.equal(dense[0], dense[1]) and not torch.equal(dense[1], dense[2])


def test_positions_that_are_never_used_are_no_tokens(roberta_folder: Path, compute: Compute) -> None:
    model = create_reward_model(roberta_folder, compute, max_length=40, seed=0).eval()
    ids = torch.full((1, 40), 5)
    assert torch.isfinite(model(ids, torch.ones_like(ids))).all()
    with pytest.raises(PipelineError, match="at most 40 tokens"):
        create_reward_model(roberta_folder, compute, max_length=41, seed=0)


@pytest.mark.parametrize("padding_free", [True, False], ids=["parts", "as on a GPU"])
def test_no_pass_has_more_tokens_than_allowed(
    backbone: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch, padding_free: bool
) -> None:
    """Without `padding_free` the limit alone bounds a pass, as it does on a GPU."""

    def scored(limit: ForwardLimit | None) -> tuple[torch.Tensor, list[int]]:
        settings = replace(compute, frozen_limit=limit, padding_free=padding_free)
        model = create_reward_model(backbone, settings, max_length=64, seed=0).eval()
        tokens: list[int] = []
        model.register_forward_pre_hook(lambda _, inputs: tokens.append(inputs[0].numel()))
        return model.score(texts, batch_size=100), tokens

    texts = [TEXTS[index % len(TEXTS)] for index in range(40)]
    whole, wide = scored(None)
    parts, narrow = scored(ForwardLimit(above=128, part=128))
    assert max(wide) > 128 >= max(narrow)
    assert torch.allclose(parts, whole, atol=1e-5)


def test_a_large_decoder_is_kept_in_the_compute_dtype_below_a_head_in_fp32(
    decoder_folder: Path, encoder_folder: Path, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.models.reward_size.LARGE", 1000)
    halved = replace(compute, dtype=torch.bfloat16)
    for folder, expected in ((decoder_folder, torch.bfloat16), (encoder_folder, torch.float32)):
        stored = create_reward_model(folder, compute, max_length=64, seed=0)
        stored.shift(0.12345)
        stored.save(tmp_path / folder.name)
        loaded = load_reward_model(tmp_path / folder.name, halved)
        assert loaded.network.base_model.dtype == expected
        assert torch.equal(loaded.head.weight, stored.head.weight) and torch.equal(loaded.head.bias, stored.head.bias)
        assert loaded.head.weight.dtype == torch.float32
        scores, exact = loaded.score(TEXTS, batch_size=4), stored.eval().score(TEXTS, batch_size=4)
        assert torch.allclose(scores, exact, atol=0.05)
        assert len(set(scores.tolist())) == len({text.text for text in TEXTS}), "scores of bf16 fall together"


def test_a_large_backbone_with_adapters_is_never_there_in_fp32(
    decoder_folder: Path, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.models.reward_size.LARGE", 1000)
    halved = replace(compute, dtype=torch.bfloat16)
    model = create_reward_model(decoder_folder, halved, max_length=64, seed=0, finetuning=LORA)
    model.merge_adapters()
    assert model.network.base_model.dtype == torch.bfloat16 and model.head.weight.dtype == torch.float32
    model.save(tmp_path)
    again = load_reward_model(tmp_path, halved)
    # a product in fp32 may round otherwise where its weights lie elsewhere in memory
    assert torch.allclose(again.score(TEXTS, batch_size=4), model.eval().score(TEXTS, batch_size=4), atol=1e-6)
