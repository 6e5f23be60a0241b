"""A reward model sees whether a response ended, by what it was trained to see at the end of a text."""

from pathlib import Path

import pytest
import torch
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from pipeline.data.passages import Passage
from pipeline.models.compute import Compute
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from pipeline.models.reward_texts import RewardTexts
from pipeline.models.text_format import TextFormat, store_text_format
from tests.passages import cut, ended
from tests.tiny_models import SENTENCES, byte_level_tokenizer, word_tokenizer
from tests.tokenizer_kinds import sentencepiece

TURN = "<end_of_turn>\n"
CHAT = "<s><start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n"


def chat_tokenizer(*, adds_bos: bool = False, adds_eos: bool = False) -> PreTrainedTokenizerFast:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"]})
    around = f"{'<s> ' if adds_bos else ''}$A{' </s>' if adds_eos else ''}"
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=around, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


def tokens(texts: RewardTexts, tokenizer: PreTrainedTokenizerFast, passage: Passage) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(texts.encode([passage])[0]))


def test_behind_a_plain_text_that_ended_stands_eos_and_behind_a_cut_one_nothing() -> None:
    tokenizer = byte_level_tokenizer()
    texts = RewardTexts(tokenizer, max_length=64)
    bare = tokenizer("The film was dull", add_special_tokens=False)["input_ids"]
    assert texts.encode(ended(["The film was dull"])) == [[*bare, tokenizer.eos_token_id]]
    assert texts.encode(cut(["The film was dull"])) == [bare]
    assert texts.shows_end


def test_an_encoder_closes_a_text_that_ended_and_leaves_a_cut_one_open() -> None:
    tokenizer = word_tokenizer(["film", "dull"])
    texts = RewardTexts(tokenizer, max_length=8)
    assert tokens(texts, tokenizer, Passage("film dull", True)) == ["[CLS]", "film", "dull", "[SEP]"]
    assert tokens(texts, tokenizer, Passage("film dull", False)) == ["[CLS]", "film", "dull"]
    # what a finished encoder was trained on is what its own tokenizer writes
    assert texts.encode(ended(["film dull"])) == [tokenizer("film dull")["input_ids"]]


@pytest.mark.parametrize("adds_bos", [True, False])
def test_a_chat_ends_with_the_end_of_turn_that_a_chat_reward_model_was_trained_on(adds_bos: bool) -> None:
    tokenizer = chat_tokenizer(adds_bos=adds_bos)
    texts = RewardTexts(tokenizer, max_length=200, end_of_turn=TURN)
    whole = tokenizer(f"{CHAT}Because.{TURN}", add_special_tokens=False)["input_ids"]
    assert texts.encode(ended([f"{CHAT}Because."])) == [whole]
    # one BOS, whether the template or the tokenizer wrote it, and one end
    assert texts.encode(ended([f"{CHAT}Because.{TURN}"])) == [whole]
    broken_off = tokenizer(f"{CHAT}Because.", add_special_tokens=False)["input_ids"]
    assert texts.encode(cut([f"{CHAT}Because."])) == [broken_off]


def test_a_tokenizer_that_adds_eos_adds_it_to_what_ended_and_only_once() -> None:
    tokenizer = chat_tokenizer(adds_eos=True)
    texts = RewardTexts(tokenizer, max_length=64, end_of_turn="</s>")
    bare = tokenizer("dull", add_special_tokens=False)["input_ids"]
    assert texts.encode([Passage("dull", True), Passage("dull</s>", True), Passage("dull", False)]) == [
        [*bare, 2],
        [*bare, 2],
        bare,
    ]


def test_an_end_of_turn_that_is_no_token_of_this_model_gives_way_to_its_eos() -> None:
    tokenizer = byte_level_tokenizer()
    texts = RewardTexts(tokenizer, max_length=64, end_of_turn=TURN)
    assert tokens(texts, tokenizer, Passage("dull", True))[-1] == "</s>"
    assert "<" not in "".join(tokens(texts, tokenizer, Passage("dull", True))[:-1])


@pytest.mark.parametrize("kind", ["plain", "chat", "encoder", "sentencepiece"])
def test_a_long_text_keeps_its_end_mark_and_loses_its_start(kind: str) -> None:
    make = {
        "plain": byte_level_tokenizer,
        "chat": lambda: chat_tokenizer(adds_bos=True),
        "encoder": lambda: word_tokenizer(" ".join(SENTENCES).split()),
        "sentencepiece": sentencepiece,
    }[kind]
    tokenizer, text = make(), " ".join(SENTENCES)
    turn = TURN if kind == "chat" else None
    long, short = (RewardTexts(tokenizer, max_length=length, end_of_turn=turn) for length in (500, 9))
    for passage in (Passage(text, True), Passage(text, False)):
        (whole,), (kept,) = long.encode([passage]), short.encode([passage])
        start = 1 if kind not in ("plain",) else 0  # [CLS] and BOS stay
        assert len(kept) == 9 and kept == whole[:start] + whole[len(whole) - 9 + start :]
        assert short.truncated([passage]) == 1 and long.truncated([passage]) == 0
    bare = tokenizer("dull", add_special_tokens=False)["input_ids"]
    assert len(bare) < 9 and short.truncated(ended(["dull"])) == 0
    exact = RewardTexts(tokenizer, max_length=len(long.encode(ended(["dull"]))[0]) - 1, end_of_turn=turn)
    assert exact.truncated(ended(["dull"])) == 1 and exact.truncated(cut(["dull"])) == 0


def test_without_eos_nothing_shows_the_end() -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.eos_token = None
    texts = RewardTexts(tokenizer, max_length=64)
    assert not texts.shows_end
    assert texts.encode(ended(["dull"])) == texts.encode(cut(["dull"]))


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_a_finished_and_a_cut_response_of_the_same_words_have_different_scores(
    kind: str, encoder_folder: Path, decoder_folder: Path, compute: Compute
) -> None:
    folder = encoder_folder if kind == "encoder" else decoder_folder
    model = create_reward_model(folder, compute, max_length=64, seed=0).eval()
    whole, broken = (model.score(side(SENTENCES), batch_size=4) for side in (ended, cut))
    assert bool(((whole - broken).abs() > 1e-2).all())


def test_a_decoder_is_read_at_the_end_of_turn_after_it_was_saved_and_loaded(
    decoder_folder: Path, tmp_path: Path, compute: Compute
) -> None:
    texts = TextFormat("template", end_of_turn="</s>\n")
    model = create_reward_model(decoder_folder, compute, max_length=64, seed=0, texts=texts).eval()
    model.save(tmp_path)
    store_text_format(tmp_path, texts)
    for one in (model, load_reward_model(tmp_path, compute), load_reward_model(tmp_path, compute, texts=texts)):
        ids = torch.tensor([one.tokenizer("dull</s>\n")["input_ids"]])
        with torch.no_grad():
            expected = one.head(one.network.model(ids).last_hidden_state[0, -1])
        assert torch.allclose(one.score(ended(["dull"]), batch_size=1), expected, atol=1e-5)
    plain = load_reward_model(tmp_path, compute, texts=TextFormat("transcript"))
    assert plain.encode(ended(["dull"]))[0][-1] == plain.tokenizer.eos_token_id
