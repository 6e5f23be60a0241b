"""A run stops where too few pairs are left, and the message names the parameter that is the cause."""

from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.validation.contract import validate_pairs
from pipeline.validation.thresholds import check_thresholds, limit_that_keeps, threshold_problems
from tests.validation.planted import SETTINGS, Told, pair


def test_thresholds_pass_at_their_limits() -> None:
    rows = [pair(number) for number in range(8)] + [pair(8, margin=-1.0), pair(9, margin=-1.0)]
    validated = validate_pairs(rows, SETTINGS)
    assert len(validated.quarantined) == 2
    check_thresholds(validated, SETTINGS)


def test_too_large_a_quarantine_names_counts_reasons_rows_and_key() -> None:
    rows = [pair(number) for number in range(9)] + [pair(9, margin=-1.0), pair(10, chosen=""), pair(11, margin=-1.0)]
    with pytest.raises(PipelineError) as caught:
        check_thresholds(validate_pairs(rows, SETTINGS), SETTINGS)
    message = str(caught.value)
    assert "3 of 12 pairs (25.0%)" in message
    assert "validate_preferences.max_quarantined_share (now 0.2)" in message
    assert "blank_text 1 (first: pair id-10), negative_margin 2 (first: pair id-9)" in message
    assert "too few" not in message


def test_too_small_a_split_names_counts_and_keys() -> None:
    rows = [pair(number, split="train") for number in range(9)] + [pair(9, split="validation")]
    with pytest.raises(PipelineError) as caught:
        check_thresholds(validate_pairs(rows, SETTINGS), SETTINGS)
    message = str(caught.value)
    assert "validation 1 (of 1), test 0 (of 0)" in message
    assert "train" not in message
    assert "data.splits.validation, data.splits.test" in message and "data.limits.validation" in message
    assert "validate_preferences.min_pairs (now 2)" in message
    assert "quarantined. " not in message


def test_a_limit_that_quarantines_most_is_the_cause_and_the_number_that_keeps_the_pairs_is_named() -> None:
    """Not max_quarantined_share: to raise that would train on what is left of a set, which nobody wants."""
    lengths = [15, *range(100, 1000, 100), *[5000]]
    rows: list[Any] = [
        {**pair(at), "source": "given", "margin": None, "origin": {"file": "data/raw/mine.jsonl", "rows": [at + 1]}}
        for at in range(len(lengths))
    ]
    validated = validate_pairs(rows, SETTINGS, meter=Told(lengths))
    problem, *_ = threshold_problems(validated, SETTINGS)
    assert problem.key == "validate_preferences.max_tokens" and problem.value == limit_that_keeps(lengths)
    with pytest.raises(PipelineError) as caught:
        check_thresholds(validated, SETTINGS)
    message = str(caught.value)
    assert "10 of 11 pairs (90.9%) are quarantined, 10 by over_context" in message
    assert "The longest has 5,000 tokens" in message
    assert "max_quarantined_share" not in message
    assert "over_context 10 (first: row 2 of data/raw/mine.jsonl)" in message


def test_the_advised_limit_keeps_the_share_it_promises() -> None:
    for lengths in ([1], [64, 65], list(range(1, 1001)), [10] * 95 + [900] * 5):
        advised = limit_that_keeps(lengths)
        assert sum(length <= advised for length in lengths) >= 0.95 * len(lengths)
        assert sum(length <= advised - 64 for length in lengths) < 0.95 * len(lengths)


def test_pairs_that_a_rule_took_from_a_split_are_counted_beside_those_it_kept() -> None:
    rows = [pair(at, split=("train", "validation", "test")[at % 3]) for at in range(12)]
    rows = [row | ({"chosen": " "} if row["split"] == "test" else {}) for row in rows]
    lenient = SETTINGS.model_copy(update={"max_quarantined_share": 1.0})
    (problem,) = threshold_problems(validate_pairs(rows, lenient), lenient)
    assert "test 0 (of 4)" in problem.message and "mend the rows that break the rules" in problem.message
