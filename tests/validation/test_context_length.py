"""Lengths in the policy's tokens, and what becomes of pairs that are too long."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pipeline.errors import PipelineError
from pipeline.validation.context_length import MeasuredPairs, PairMeter
from tests.tiny_models import byte_level_tokenizer, changed
from tests.validation.planted import SETTINGS

Measure = Callable[..., MeasuredPairs]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    byte_level_tokenizer().save_pretrained(folder)
    return folder / "tokenizer.json"


@pytest.fixture(scope="module")
def tokenizer(file: Path) -> Tokenizer:
    return Tokenizer.from_file(str(file))


@pytest.fixture
def measure(file: Path) -> Measure:
    """Measures rows with changed settings."""
    return lambda rows, **changes: PairMeter(file, changed(SETTINGS, **changes)).measure(rows)


def count(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False))


ROW = {"id": "1", "prompt": "This film was a joy from start to end", "chosen": " good", "rejected": " dull and weak"}


def test_tokens_are_prompt_and_longer_response_with_its_end(measure: Measure, tokenizer: Tokenizer) -> None:
    measured = measure([ROW, {"prompt": None}], max_tokens=10_000)
    assert measured.tokens == [count(tokenizer, ROW["prompt"]) + count(tokenizer, ROW["rejected"]) + 1, 0]
    assert measured.rows == [ROW, {"prompt": None}]


def test_a_prompt_loses_its_beginning_and_the_responses_stay(measure: Measure, tokenizer: Tokenizer) -> None:
    whole = measure([ROW], max_tokens=10_000).tokens[0]
    measured = measure([ROW], max_tokens=whole - 3, over_context="truncate_prompt")
    (row,) = measured.rows
    assert measured.tokens == [whole - 3] and row["prompt_truncated"] == 3
    assert (
        ROW["prompt"].endswith(row["prompt"]) and count(tokenizer, row["prompt"]) == count(tokenizer, ROW["prompt"]) - 3
    )
    assert (row["chosen"], row["rejected"]) == (ROW["chosen"], ROW["rejected"])


def test_responses_alone_too_long_are_left_to_the_rule(measure: Measure, tokenizer: Tokenizer) -> None:
    limit = count(tokenizer, ROW["rejected"]) + 1
    measured = measure([ROW], max_tokens=limit, over_context="truncate_prompt")
    assert measured.rows == [ROW] and measured.tokens[0] > limit


def test_dropping_changes_nothing_and_an_error_names_the_pair(measure: Measure) -> None:
    assert measure([ROW], max_tokens=3, over_context="drop").rows == [ROW]
    with pytest.raises(PipelineError, match=r"pair 1 has \d+ tokens, .*max_tokens 3"):
        measure([ROW], max_tokens=3, over_context="error")


def test_what_no_tokenizer_takes_is_left_to_the_other_rules(measure: Measure) -> None:
    rows = [{**ROW, "chosen": "\ud800"}, {**ROW, "chosen": 3}, {}, ROW]
    assert [tokens > 0 for tokens in measure(rows, max_tokens=10_000).tokens] == [
        False, False, False, True,
    ]  # fmt: skip


def test_without_a_limit_nothing_is_counted(measure: Measure) -> None:
    measured = measure([ROW, ROW], max_tokens=None)
    assert measured.rows == [ROW, ROW] and measured.tokens == [0, 0]
