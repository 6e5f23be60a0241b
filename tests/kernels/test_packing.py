"""Rows as a network reads them: prompts once, padding last, and where each token is predicted."""

import pytest
import torch

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.kernels.packing import group_by_prompt, group_pair, pack_groups, packed

A = TokenizedExample([1, 2, 3], [4, 5])
B = TokenizedExample([1, 2, 3], [6, 7, 8])
C = TokenizedExample([9], [10])


def test_a_shared_prompt_is_in_the_row_once() -> None:
    rows = pack_groups([[A, B], [C]], pad_token_id=0)
    assert rows.input_ids.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 0, 0, 0, 0, 0, 0]]
    assert rows.branched
    assert rows.branch.tolist() == [[0, 0, 0, 1, 1, 2, 2, 2], [0, 1, -1, -1, -1, -1, -1, -1]]
    assert rows.token_ids.tolist() == [4, 5, 6, 7, 8, 10]
    # token 6 is the first of its response, so the last token of the prompt predicts it, as it does token 4
    assert rows.state_index.tolist() == [2, 3, 2, 5, 6, 8]
    assert rows.response_mask.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    assert rows.last_index.tolist() == [4, 7, 9]


def test_an_empty_response_ends_where_its_prompt_does() -> None:
    rows = pack_groups([[A, TokenizedExample([1, 2, 3], [])]], pad_token_id=0)
    assert rows.last_index.tolist() == [4, 2]
    assert rows.response_mask.tolist() == [[True, True], [False, False]]
    assert rows.token_ids.tolist() == [4, 5]


def test_tokens_that_are_not_learned_are_read_and_not_predicted() -> None:
    example = TokenizedExample([1, 2], [3, 4, 5, 6], [True, False, False, True])
    rows = pack_groups([[example], [A]], pad_token_id=0)
    assert rows.input_ids.tolist() == [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 0]]
    assert rows.token_ids.tolist() == [3, 6, 4, 5] and rows.state_index.tolist() == [1, 4, 8, 9]
    assert rows.response_mask.tolist() == [[True, True], [True, True]]


def test_rows_of_one_response_need_no_branches() -> None:
    assert not pack_groups([[A], [C]], pad_token_id=0).branched


def test_different_prompts_do_not_share_a_row() -> None:
    with pytest.raises(ValueError, match="different prompts"):
        pack_groups([[A, C]], pad_token_id=0)


def test_a_batch_packs_to_the_same_rows_as_its_examples() -> None:
    examples = [A, C, B, TokenizedExample([11, 12], [])]
    from_batch, from_examples = (
        packed(collate(examples, pad_token_id=0)),
        pack_groups([[example] for example in examples], pad_token_id=0),
    )
    real = from_batch.input_ids != 0
    assert torch.equal(real, from_examples.input_ids != 0)
    assert torch.equal(from_batch.input_ids[real], from_examples.input_ids[real])
    for name in ("token_ids", "state_index", "response_mask", "last_index"):
        assert torch.equal(getattr(from_batch, name), getattr(from_examples, name)), name


def test_a_packed_batch_is_as_wide_as_its_longest_row() -> None:
    # a long prompt with a short response, and the reverse: side by side they would be 5 + 4 wide
    examples = [TokenizedExample([1, 2, 3, 4, 5], [6]), TokenizedExample([7], [8, 9, 10, 11])]
    rows = packed(collate(examples, pad_token_id=0))
    assert rows.input_ids[0].tolist() == [1, 2, 3, 4, 5, 6]
    # what stands after the last token no token sees
    assert rows.input_ids[1, :5].tolist() == [7, 8, 9, 10, 11]


def test_packing_twice_changes_nothing() -> None:
    rows = packed(collate([A, C], pad_token_id=0))
    assert packed(rows) is rows


def test_neighbours_with_one_prompt_form_a_group() -> None:
    assert group_by_prompt([A, B, C, A]) == [[A, B], [C], [A]]


@pytest.mark.parametrize(
    ("first", "second", "groups"),
    [
        ([1, 2, 3], [1, 2, 4, 5], [[([1, 2], [3]), ([1, 2], [4, 5])]]),
        ([1, 2], [1, 2, 3], [[([1, 2], []), ([1, 2], [3])]]),
        ([1], [1], [[([1], []), ([1], [])]]),
        ([1, 2], [3], [[([1, 2], [])], [([3], [])]]),
    ],
    ids=["common prefix", "one is the other's prefix", "the same", "nothing in common"],
)
def test_a_pair_shares_what_it_begins_with(
    first: list[int], second: list[int], groups: list[list[tuple[list[int], list[int]]]]
) -> None:
    expected = [[TokenizedExample(*parts) for parts in group] for group in groups]
    assert group_pair(first, second) == expected
