"""Pairs without a fault, the settings of the contract, and the reasons for which planted pairs are refused."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pipeline.params.schema import Rule, ValidatePreferences
from pipeline.validation.context_length import MeasuredPairs
from pipeline.validation.contract import ValidatedPairs, validate_pairs

WARNED = (
    "prefix_pair", "prompt_repeated", "scores_contradict_label", "bidi_control", "replacement_character", "mojibake",
    "near_duplicate",
)  # fmt: skip
SETTINGS = ValidatePreferences(
    max_characters=200,
    max_length_ratio=4.0,
    max_tokens=20,
    over_context="drop",
    near_duplicate_similarity=0.8,
    max_quarantined_share=0.2,
    min_pairs=2,
    reject={rule: 1.0 for rule in get_args(Rule) if rule not in WARNED},
    warn={rule: 1.0 for rule in get_args(Rule) if rule in WARNED},
)
Row = dict[str, Any]


def pair(number: int, **changes: Any) -> Row:
    """A good pair like no other; splits take turns."""
    return {
        "id": f"id-{number}",
        "prompt_id": f"prompt-{number}",
        "prompt": f"The film number {number} is",
        "category": "all",
        "chosen": f" a wonder of take {number}.",
        "rejected": f" a bore of take {number}.",
        "chosen_ended": True,
        "rejected_ended": False,
        "split": ("train", "validation", "test")[number % 3],
        "margin": 0.25,
        "chosen_score": 0.75,
        "rejected_score": 0.5,
        "source": "sampled",
    } | changes


def without(row: Row, field: str) -> Row:
    return {name: value for name, value in row.items() if name != field}


class Told:
    """A meter that is told the tokens of the pairs, in their order."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = list(tokens)

    def measure(self, rows: Sequence[Mapping[str, Any]]) -> MeasuredPairs:
        told, self._tokens = self._tokens[: len(rows)], self._tokens[len(rows) :]
        return MeasuredPairs(list(rows), told)


def reasons_by_row(validated: ValidatedPairs) -> dict[int, list[str]]:
    return {row["row"]: row["reasons"] for row in validated.quarantined}


def reasons_among_good(*planted: Row) -> dict[int, list[str]]:
    """Reasons by place among the planted rows (from 0), which stand between nine good rows on either side."""
    good = [pair(number) for number in range(100, 118)]
    found = reasons_by_row(validate_pairs([*good[:9], *planted, *good[9:]], SETTINGS))
    return {row - 9: reasons for row, reasons in found.items()}
