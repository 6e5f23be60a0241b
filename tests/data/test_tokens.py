"""Tokenised examples and batches: the boundary, EOS, padding, and masks."""

import torch

from pipeline.data.tokens import (
    TokenizedExample,
    batched,
    collate,
    cut_response,
    join,
    split_batch,
    tokenize_example,
    tokenize_prompt,
)

PAD = 0
EXAMPLES = [TokenizedExample([5, 6, 7], [8]), TokenizedExample([5], [9, 10, 2])]


def test_prompt_and_response_are_the_sequence_that_the_model_sees(tokenizer) -> None:
    example = tokenize_example(tokenizer, "The film is", " clever and funny", ended=True)
    assert tokenizer.decode(example.prompt_ids) == "The film is"
    assert tokenizer.decode(example.response_ids[:-1]) == " clever and funny"
    assert len(example) == len(example.prompt_ids) + len(example.response_ids)


def test_eos_belongs_to_a_complete_response_only(tokenizer) -> None:
    ended = tokenize_example(tokenizer, "The", " film", ended=True)
    cut = tokenize_example(tokenizer, "The", " film", ended=False)
    assert ended.response_ids == [*cut.response_ids, tokenizer.eos_token_id]
    assert tokenizer.eos_token_id not in cut.response_ids
    assert tokenizer.bos_token_id not in ended.prompt_ids + ended.response_ids


def test_a_prompt_has_the_same_ids_whatever_follows(tokenizer) -> None:
    one = tokenize_example(tokenizer, "The fi", "lm is dull", ended=True)
    assert one.prompt_ids == tokenize_prompt(tokenizer, "The fi")


def test_an_empty_prompt_becomes_bos_and_an_empty_response_eos(tokenizer) -> None:
    example = tokenize_example(tokenizer, "", "", ended=True)
    assert example == TokenizedExample([tokenizer.bos_token_id], [tokenizer.eos_token_id])
    assert tokenize_example(tokenizer, "The", "", ended=False).response_ids == []


def test_prompts_are_padded_left_and_responses_right() -> None:
    batch = collate(EXAMPLES, pad_token_id=PAD)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, PAD, PAD], [PAD, PAD, 5, 9, 10, 2]]
    assert batch.attention_mask.tolist() == [[True] * 4 + [False] * 2, [False] * 2 + [True] * 4]
    assert batch.response_ids.tolist() == [[8, PAD, PAD], [9, 10, 2]]
    assert batch.response_mask.tolist() == [[True, False, False], [True, True, True]]


def test_masks_come_from_lengths_not_from_ids() -> None:
    # a pad id inside a text is a token like any other
    batch = collate([TokenizedExample([PAD, 5], [PAD, 2])], pad_token_id=PAD)
    assert bool(batch.attention_mask.all()) and bool(batch.response_mask.all())


def test_an_empty_response_keeps_nothing() -> None:
    batch = collate([TokenizedExample([5], []), TokenizedExample([5, 6], [])], pad_token_id=PAD)
    assert batch.response_ids.shape == (2, 1)
    assert batch.response_mask.sum().item() == 0
    assert batch.attention_mask.sum(1).tolist() == [1, 2]


def test_rows_and_join_keep_columns_together() -> None:
    batch = collate(EXAMPLES, pad_token_id=PAD)
    second = batch.rows(torch.tensor([1]))
    assert second.input_ids.tolist() == [[PAD, PAD, 5, 9, 10, 2]]
    assert second.response_mask.tolist() == [[True, True, True]]
    again = join(batch.input_ids[:, :3], batch.attention_mask[:, :3], batch.response_ids, batch.response_mask)
    assert torch.equal(again.input_ids, batch.input_ids) and torch.equal(again.attention_mask, batch.attention_mask)


def test_a_cut_response_loses_its_end_and_a_short_one_nothing() -> None:
    example = TokenizedExample([5, 6], [7, 8, 2])
    assert cut_response(example, 5) == example
    assert cut_response(example, 4) == TokenizedExample([5, 6], [7, 8])
    assert cut_response(example, 1) == TokenizedExample([5, 6], [])


def test_batched_leaves_nothing_out() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 2)) == []


def test_a_batch_over_the_limit_is_split_by_length() -> None:
    # as few parts as the order by length allows
    assert split_batch([0, 1, 2, 3], [9, 4, 4, 5], 16) == [[1, 2, 3], [0]]
    assert split_batch([0, 1], [50, 60], 30) == [[0], [1]]


def test_behind_a_listed_stop_token_there_is_no_eos(tokenizer) -> None:
    """The policy stopped there and was asked for nothing behind it."""
    (stop,) = tokenizer(".", add_special_tokens=False)["input_ids"]
    whole = tokenize_example(tokenizer, "The film", " ends.", ended=True, stop_ids={stop})
    assert whole.response_ids[-1] == stop
    assert tokenize_example(tokenizer, "The film", " ends.", ended=True).response_ids == [
        *whole.response_ids, tokenizer.eos_token_id
    ]  # fmt: skip
    other = tokenize_example(tokenizer, "The film", " ends", ended=True, stop_ids={stop})
    assert other.response_ids[-1] == tokenizer.eos_token_id
