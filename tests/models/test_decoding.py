"""Prompt and response join to the text that was written, whatever tokenizer wrote it, and are read again alike."""

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from pipeline.data.tokens import TokenizedExample, collate, tokenize_example
from pipeline.models.decoding import Continuation, continuation, decode_responses
from tests.tiny_models import SENTENCES, byte_level_tokenizer
from tests.tokenizer_kinds import KINDS, byte_level, sentencepiece

WRITTEN = [*SENTENCES, "The hero said : no !  Two spaces", "Line\nbreaks\n\nand the end ."]


@pytest.fixture(params=sorted(KINDS), scope="module")
def any_tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    return KINDS[request.param]()


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def plain(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    """What the ids say; the tokenizers' own clean-up changes texts."""
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


@pytest.mark.parametrize("text", WRITTEN)
def test_prompt_and_response_join_to_the_decoded_whole_wherever_it_is_cut(
    any_tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    ids = ids_of(any_tokenizer, text)
    for at in range(1, len(ids)):
        found = continuation(ids[:at], ids[at:], any_tokenizer, set())
        assert plain(any_tokenizer, ids[:at]) + found.text == plain(any_tokenizer, ids), at


def test_what_is_written_is_read_again_as_the_same_tokens(any_tokenizer: PreTrainedTokenizerFast) -> None:
    compared = 0
    for text in SENTENCES:
        for words in range(1, 4):
            prompt = " ".join(text.split()[:words])
            before, whole = ids_of(any_tokenizer, prompt), ids_of(any_tokenizer, text)
            if whole[: len(before)] != before:
                continue  # a comma belongs to the prompt's last word
            sampled = [*whole[len(before) :], any_tokenizer.eos_token_id]
            found = continuation(before, sampled, any_tokenizer, {any_tokenizer.eos_token_id})
            assert prompt + found.text == plain(any_tokenizer, whole)
            again = tokenize_example(any_tokenizer, prompt, found.text, ended=found.ended)
            assert again.response_ids == sampled
            assert again.prompt_ids[-len(before) :] == before
            compared += 1
    assert compared > 10


@pytest.mark.parametrize("legacy", [True, False])
def test_a_response_that_begins_inside_a_word_gets_no_space(legacy: bool) -> None:
    tokenizer = sentencepiece(legacy=legacy)
    example = tokenize_example(tokenizer, "The fi", "lm", ended=False)
    assert plain(tokenizer, example.prompt_ids + example.response_ids) == "The film"


@pytest.mark.parametrize("make", [byte_level, lambda: sentencepiece()], ids=["byte level", "byte fallback"])
def test_a_character_that_was_cut_in_two_is_left_out_and_those_before_it_stay(make) -> None:
    tokenizer = make()
    prompt, response = (
        ids_of(tokenizer, "The film"),
        ids_of(tokenizer, "The film 😀😀")[len(ids_of(tokenizer, "The film")) :],
    )
    texts = [continuation(prompt, response[:length], tokenizer, set()).text for length in range(len(response) + 1)]
    assert texts[-1] == " 😀😀" and texts[-2] == " 😀"
    assert not any("\ufffd" in text for text in texts)
    assert all(" 😀😀".startswith(text) for text in texts)
    assert [len(text) for text in texts] == sorted(len(text) for text in texts)


@pytest.mark.parametrize("make", [byte_level, lambda: sentencepiece()], ids=["byte level", "byte fallback"])
def test_bytes_of_a_response_leave_the_prompts_last_character_alone(make) -> None:
    tokenizer = make()
    prompt, emoji = ids_of(tokenizer, "I loved it 😀"), ids_of(tokenizer, "a 😀")[-4:]
    assert continuation(prompt, emoji, tokenizer, set()).text == "😀"
    assert continuation(prompt, emoji[:2], tokenizer, set()).text == ""
    # no length limit cut this one: the policy said so
    ended = continuation(prompt, [*emoji[:2], 2], tokenizer, {2})
    assert ended.ended and "\ufffd" in ended.text


def test_special_tokens_are_no_text_and_lengths_count_them() -> None:
    tokenizer = byte_level_tokenizer()
    words = ids_of(tokenizer, " clever and funny")
    rows = [[*words, 2], [*words, words[0]], [1, *words, 0, 2]]
    batch = collate([TokenizedExample(ids_of(tokenizer, "The"), row) for row in rows], pad_token_id=0)
    ended, cut, special = decode_responses(batch, tokenizer, torch.tensor([2]))
    assert ended == Continuation(" clever and funny", True, len(words) + 1)
    assert cut.text.startswith(" clever and funny") and not cut.ended
    assert special == Continuation(" clever and funny", True, len(words) + 3)


def test_an_end_of_turn_ends_a_response_and_is_no_text_though_it_is_no_special_token() -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_tokens(["<end_of_turn>"])
    turn = tokenizer.convert_tokens_to_ids("<end_of_turn>")
    words, dot = ids_of(tokenizer, " dull"), ids_of(tokenizer, "g")[0]
    stops = {2, turn, dot}
    assert continuation([5], [*words, turn], tokenizer, stops) == Continuation(" dull", True, len(words) + 1)
    # a stop token that is a piece of text stays what the policy said
    assert continuation([5], [*words, dot], tokenizer, stops) == Continuation(" dullg", True, len(words) + 1)
    assert not continuation([5], words, tokenizer, stops).ended
