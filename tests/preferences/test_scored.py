"""Pairs in token ids: what score_reference writes is what DPO reads."""

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from pipeline.data.records import write_records
from pipeline.data.tables import write_table
from pipeline.data.tokens import TokenizedExample, tokenize_example
from pipeline.errors import PipelineError
from pipeline.preferences.scored import (
    ScoredPair,
    TokenizedPair,
    read_scored_pairs,
    read_tokenized_pairs,
    scored_records,
    tokenize_pairs,
    without_equal,
)
from tests.preference_pairs import preference_pair
from tests.tiny_models import word_tokenizer

PAIR = ScoredPair("one", TokenizedExample([1, 2], [3]), TokenizedExample([1, 2], [4, 5]), -1.5, -2.25)


def test_the_table_takes_its_records_and_gives_back_the_same_pairs(tmp_path: Path) -> None:
    other = replace(PAIR, id="two", ref_chosen_logps=-3.0)
    write_table(tmp_path / "pairs.jsonl", [PAIR.as_record(), other.as_record()], "reference_pairs")
    assert read_scored_pairs(tmp_path / "pairs.jsonl") == [PAIR, other]
    assert len(PAIR) == 3 + 4


def test_pairs_without_log_probs_come_back_the_same(tmp_path: Path) -> None:
    pairs = [TokenizedPair(name, PAIR.chosen, PAIR.rejected) for name in ("one", "two")]
    assert pairs[0].scored(PAIR.ref_chosen_logps, PAIR.ref_rejected_logps) == PAIR != pairs[0]
    write_table(tmp_path / "validation.jsonl", [pair.as_record() for pair in pairs], "tokenized_pairs")
    assert read_tokenized_pairs(tmp_path / "validation.jsonl") == pairs


def test_a_row_that_lacks_a_side_is_named(tmp_path: Path) -> None:
    record = {name: value for name, value in PAIR.as_record().items() if name != "ref_chosen_logps"}
    write_records(tmp_path / "pairs.jsonl", [record])
    with pytest.raises(PipelineError, match="line 1: lacks ref_chosen_logps"):
        read_scored_pairs(tmp_path / "pairs.jsonl")


def test_each_response_is_read_behind_the_prompt_and_ends_only_where_it_ended(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    pair = preference_pair("the film", " is clever", " is dull", rejected_ended=False)
    [read] = tokenize_pairs(tokenizer, [pair], end_of_turn=None, stop_ids=(), max_length=99)
    assert read.id == pair.id
    assert read.chosen == tokenize_example(tokenizer, "the film", " is clever", ended=True)
    assert read.rejected == tokenize_example(tokenizer, "the film", " is dull", ended=False)
    assert read.chosen.response_ids[-1] == tokenizer.eos_token_id != read.rejected.response_ids[-1]


PAIRS = [
    preference_pair("This", *responses)
    for responses in ((" is fun", " is dull"), (" is fun" * 20, " is dull"), (" is fun", " is dull" * 20), (" a", " b"))
]


def test_a_pair_with_a_response_that_is_too_long_is_left_out(tokenizer: PreTrainedTokenizerBase) -> None:
    def kept(max_length: int) -> list[TokenizedPair]:
        return tokenize_pairs(tokenizer, PAIRS, end_of_turn=None, stop_ids=(), max_length=max_length)

    assert [pair.id for pair in kept(20)] == [PAIRS[0].id, PAIRS[3].id]
    longest = max(max(len(pair.chosen), len(pair.rejected)) for pair in kept(20))
    assert len(kept(longest)) == 2
    assert len(kept(longest - 1)) < 2


def test_pairs_that_are_the_same_tokens_are_no_pairs() -> None:
    words = word_tokenizer(["This", "film", "was"])
    pairs = [preference_pair("This", *two) for two in ((" film  was", " film was"), (" film was", " film"))]
    tokenized = tokenize_pairs(words, pairs, end_of_turn="[SEP]", stop_ids=(), max_length=20)
    assert [pair.id for pair in without_equal(tokenized)] == [pairs[1].id]


def test_records_have_the_log_probs_of_their_own_responses(tokenizer: PreTrainedTokenizerBase) -> None:
    pairs = tokenize_pairs(tokenizer, PAIRS, end_of_turn=None, stop_ids=(), max_length=20)
    first, second = scored_records(pairs, [-1.0, -2.0, -3.0, -4.0])
    assert (first["ref_chosen_logps"], first["ref_rejected_logps"]) == (-1.0, -2.0)
    assert (second["id"], second["ref_chosen_logps"], second["ref_rejected_logps"]) == (PAIRS[3].id, -3.0, -4.0)
    assert second["chosen_response_ids"] == pairs[1].chosen.response_ids
    assert second["rejected_response_ids"] == pairs[1].rejected.response_ids
