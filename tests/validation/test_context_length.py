"""Lengths in the policy's tokens, and what becomes of pairs that are too long."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from pipeline.errors import PipelineError
from pipeline.params.schema import ValidatePreferences
from pipeline.validation.context_length import load_pair_tokenizer, measure_pairs
from tests.tiny_models import byte_level_tokenizer, changed
from tests.validation.test_contract import SETTINGS


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    byte_level_tokenizer().save_pretrained(folder)
    return load_pair_tokenizer(folder / "tokenizer.json")


def settings(**changes: Any) -> ValidatePreferences:
    return changed(SETTINGS, **changes)


def count(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False))


ROW = {"id": "1", "prompt": "This film was a joy from start to end", "chosen": " good", "rejected": " dull and weak"}


def test_tokens_are_prompt_and_longer_response_with_its_end(tokenizer: Tokenizer) -> None:
    measured = measure_pairs([ROW, {"prompt": None}], tokenizer, settings(max_tokens=10_000))
    assert measured.tokens == [count(tokenizer, ROW["prompt"]) + count(tokenizer, ROW["rejected"]) + 1, 0]
    assert measured.rows == [ROW, {"prompt": None}]


def test_a_prompt_loses_its_beginning_and_the_responses_stay(tokenizer: Tokenizer) -> None:
    whole = measure_pairs([ROW], tokenizer, settings(max_tokens=10_000)).tokens[0]
    measured = measure_pairs([ROW], tokenizer, settings(max_tokens=whole - 3, over_context="truncate_prompt"))
    (row,) = measured.rows
    assert measured.tokens == [whole - 3] and row["prompt_truncated"] == 3
    assert (
        ROW["prompt"].endswith(row["prompt"]) and count(tokenizer, row["prompt"]) == count(tokenizer, ROW["prompt"]) - 3
    )
    assert (row["chosen"], row["rejected"]) == (ROW["chosen"], ROW["rejected"])


def test_responses_alone_too_long_are_left_to_the_rule(tokenizer: Tokenizer) -> None:
    limit = count(tokenizer, ROW["rejected"]) + 1
    measured = measure_pairs([ROW], tokenizer, settings(max_tokens=limit, over_context="truncate_prompt"))
    assert measured.rows == [ROW] and measured.tokens[0] > limit


def test_dropping_changes_nothing_and_an_error_names_the_pair(tokenizer: Tokenizer) -> None:
    assert measure_pairs([ROW], tokenizer, settings(max_tokens=3, over_context="drop")).rows == [ROW]
    with pytest.raises(PipelineError, match=r"pair 1 has \d+ tokens, .*max_tokens 3"):
        measure_pairs([ROW], tokenizer, settings(max_tokens=3, over_context="error"))


def test_what_no_tokenizer_takes_is_left_to_the_other_rules(tokenizer: Tokenizer) -> None:
    rows = [{**ROW, "chosen": "\ud800"}, {**ROW, "chosen": 3}, {}, ROW]
    assert [tokens > 0 for tokens in measure_pairs(rows, tokenizer, settings(max_tokens=10_000)).tokens] == [
        False, False, False, True,
    ]  # fmt: skip


def test_without_a_limit_nothing_is_counted(tokenizer: Tokenizer) -> None:
    measured = measure_pairs([ROW, ROW], tokenizer, settings(max_tokens=None))
    assert measured.rows == [ROW, ROW] and measured.tokens == [0, 0]
