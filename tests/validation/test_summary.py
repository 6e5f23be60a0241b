"""The summary of hand-written pairs, worked by hand."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.validation.contract import ValidatedPairs
from pipeline.validation.facts import facts_of
from pipeline.validation.findings import Findings
from pipeline.validation.reasons import REASONS
from pipeline.validation.summary import summarise_pairs
from tests.validation.planted import SETTINGS, WARNED


def pair(chosen: str, rejected: str, **changes: Any) -> dict[str, Any]:
    return {"prompt": "The film is", "chosen": chosen, "rejected": rejected, "split": "train", "margin": None} | changes


def validated(
    rows: Sequence[Mapping[str, Any]], codes: Mapping[int, Sequence[str]], cut: Sequence[int] = ()
) -> ValidatedPairs:
    """Rows that break these rules, by position, some of them with a cut prompt."""
    files: dict[str, int] = {}
    table, found = facts_of(rows, files).table, Findings.none(len(rows))
    table["cut_tokens"][list(cut)] = 1
    for at, broken in codes.items():
        for code in broken:
            found.note(np.array([at]), code)
    return ValidatedPairs(rows, found, table, list(files), frozenset(SETTINGS.reject))


COUNTS = dict.fromkeys(REASONS, 0) | {"blank_text": 1, "prefix_pair": 2}
ROWS = [
    pair(" good", " good but long", margin=0.5),
    pair("", "x"),
    pair("a b c d", "ab cd", prompt="One", split="test", margin=0.25),
    pair("seven77", "letters", margin=0.25),
    pair("The  cafe\u0301 and more", " The caf\u00e9", split="validation"),
]
VALIDATED = validated(ROWS, {0: ["prefix_pair"], 1: ["blank_text"], 4: ["prefix_pair"]}, cut=[2])


def test_summary_by_hand() -> None:
    assert summarise_pairs(VALIDATED, SETTINGS, ties_without_pair=3).as_json() == {
        "raw": 5,
        "accepted": 4,
        "quarantined": 1,
        "by_split": {"train": 2, "validation": 1, "test": 1},
        "quarantined_by_reason": {code: COUNTS[code] for code in REASONS if code not in WARNED},
        "warned_by_reason": dict.fromkeys(WARNED, 0) | {"prefix_pair": 2},
        "truncated_prompts": 1,
        "ties_without_pair": 3,
        # shorter, longer, as long, longer: (0 + 1 + 0.5 + 1) / 4
        "chosen_longer_share": 0.625,
        "mean_margin": 0.333333,
        "mean_prompt_words": 2.5,
        "mean_chosen_words": 2.5,
        "mean_rejected_words": 2.0,
        "chosen_words": [1, 4, 1, 4],
        "rejected_words": [3, 2, 1, 2],
    }


def test_margin_is_none_without_scores() -> None:
    assert summarise_pairs(validated([pair("a", "b")], {}), SETTINGS, ties_without_pair=0).mean_margin is None


def test_a_margin_of_zero_counts() -> None:
    margins = [pair("a", "b", margin=0.0), pair("c", "d", margin=1.0)]
    assert summarise_pairs(validated(margins, {}), SETTINGS, ties_without_pair=0).mean_margin == 0.5


def test_summary_is_the_same_json_every_time() -> None:
    first, second = (
        json.dumps(summarise_pairs(VALIDATED, SETTINGS, ties_without_pair=3).as_json(), allow_nan=False)
        for _ in range(2)
    )
    assert first == second


def test_nothing_accepted_is_an_error() -> None:
    with pytest.raises(PipelineError, match="nothing to summarise"):
        summarise_pairs(validated([], {}), SETTINGS, ties_without_pair=0)
