"""Pairs in token ids: what score_reference writes is what DPO reads."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from pipeline.data.records import write_records
from pipeline.data.tables import write_table
from pipeline.data.tokens import TokenizedExample, tokenize_example
from pipeline.errors import PipelineError
from pipeline.preferences.scored import ScoredPair, read_scored_pairs, tokenize_pair
from tests.preference_pairs import preference_pair

PAIR = ScoredPair(TokenizedExample([1, 2], [3]), TokenizedExample([1, 2], [4, 5]), -1.5, -2.25)


def test_the_table_takes_its_records_and_gives_back_the_same_pairs(tmp_path: Path) -> None:
    write_table(tmp_path / "pairs.jsonl", [PAIR.as_record("one"), PAIR.as_record("two")], "reference_pairs")
    assert read_scored_pairs(tmp_path / "pairs.jsonl") == [PAIR, PAIR]
    assert len(PAIR) == 3 + 4


def test_a_row_that_lacks_a_side_is_named(tmp_path: Path) -> None:
    record = {name: value for name, value in PAIR.as_record("one").items() if name != "ref_chosen_logps"}
    write_records(tmp_path / "pairs.jsonl", [record])
    with pytest.raises(PipelineError, match="line 1: lacks ref_chosen_logps"):
        read_scored_pairs(tmp_path / "pairs.jsonl")


def test_each_response_is_read_behind_the_prompt_and_ends_only_where_it_ended(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    pair = preference_pair("the film", " is clever", " is dull", rejected_ended=False)
    chosen, rejected = tokenize_pair(tokenizer, pair, end_of_turn=None, stop_ids=())
    assert chosen == tokenize_example(tokenizer, "the film", " is clever", ended=True)
    assert rejected == tokenize_example(tokenizer, "the film", " is dull", ended=False)
    assert chosen.response_ids[-1] == tokenizer.eos_token_id != rejected.response_ids[-1]
