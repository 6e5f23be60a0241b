"""Planted defects are found with the right reason at the right row, and nothing else is."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pandera.config import config_context

from pipeline.errors import PipelineError
from pipeline.validation.contract import validate_pairs
from pipeline.validation.reasons import REASONS
from tests.validation.planted import SETTINGS, WARNED, pair, reasons_among_good, reasons_by_row, without

ROOT = Path(__file__).resolve().parents[2]


def test_a_clean_set_passes_whole_in_its_order() -> None:
    rows = [pair(number) for number in (5, 3, 4, 0, 2, 1)]
    validated = validate_pairs(rows, SETTINGS)
    assert [one.as_record() for one in validated.accepted] == rows
    assert validated.quarantined == []
    assert validated.counts == dict.fromkeys(REASONS, 0)


def test_given_pairs_need_no_scores() -> None:
    unscored = {"margin": None, "chosen_score": None, "rejected_score": None, "source": "given"}
    assert reasons_among_good(pair(1, **unscored), pair(2, **unscored)) == {}


@pytest.mark.parametrize("field", sorted(set(pair(0)) - {"prompt_id", "category"}))
def test_missing_field(field: str) -> None:
    assert reasons_among_good(without(pair(1), field)) == {0: ["missing_field"]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 7),
        ("prompt", None),
        ("chosen", ["a", "b"]),
        ("rejected", {"text": "a"}),
        ("rejected", b"a"),
        ("chosen_ended", 1),
        ("rejected_ended", None),
        ("rejected_ended", "true"),
        ("split", "evaluation"),
        ("split", ["train"]),
        ("source", "guessed"),
        ("margin", "0.5"),
        ("margin", True),
        ("margin", float("nan")),
        ("margin", float("inf")),
        ("margin", 10**400),
        ("margin", "\ud800"),
        ("chosen", ["\ud800", {"\ud800": float("nan")}]),
        ("chosen_score", float("-inf")),
        ("rejected_score", [0.5]),
    ],
)
def test_wrong_type(field: str, value: Any) -> None:
    assert reasons_among_good(pair(1, **{field: value})) == {0: ["wrong_type"]}


@pytest.mark.parametrize("field", ["id", "prompt", "chosen", "rejected"])
@pytest.mark.parametrize("text", ["", " \t\n\u00a0\u3000", "\u200b", " \u200d\ufeff\u2060 ", "\u00ad\ufe0f"])
def test_blank_text(field: str, text: str) -> None:
    assert reasons_among_good(pair(1, **{field: text})) == {0: ["blank_text"]}


def test_zero_width_characters_within_a_text_are_no_defect() -> None:
    family = " the \U0001f468\u200d\U0001f469\u200d\U0001f467 film \u2764\ufe0f"
    assert reasons_among_good(pair(1, chosen=family)) == {}


@pytest.mark.parametrize("field", ["id", "prompt", "chosen", "rejected"])
@pytest.mark.parametrize("text", ["cut \ud83d here", "\udc00", "nul \0 byte"])
def test_not_utf8(field: str, text: str) -> None:
    assert reasons_among_good(pair(1, **{field: text})) == {0: ["not_utf8"]}


def test_a_lone_surrogate_in_every_row_breaks_nothing() -> None:
    validated = validate_pairs([pair(number, chosen="\ud800") for number in range(3)], SETTINGS)
    assert validated.counts["not_utf8"] == 3
    assert [row["chosen"] for row in validated.quarantined] == ["\ud800"] * 3


def test_too_long_counts_characters_not_bytes() -> None:
    at_limit = {"chosen": "é" * 200, "rejected": "\U0001f600" * 200}
    assert reasons_among_good(pair(1, **at_limit)) == {}
    assert reasons_among_good(pair(1, prompt="é" * 201)) == {0: ["too_long"]}
    assert reasons_among_good(pair(1, **at_limit | {"chosen": "é" * 201})) == {0: ["too_long"]}
    assert reasons_among_good(pair(1, **at_limit | {"rejected": "x" * 201})) == {0: ["too_long"]}


def test_negative_margin() -> None:
    assert reasons_among_good(pair(1, margin=-0.001), pair(2, margin=0), pair(3, margin=0.0)) == {
        0: ["negative_margin"]
    }


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ("the same", "the same"),
        (" the  same\n", "the same"),
        ("caf\u00e9", "cafe\u0301"),
        ("a\u00a0b", "a b"),
    ],
)
def test_identical_pair(chosen: str, rejected: str) -> None:
    assert reasons_among_good(pair(1, chosen=chosen, rejected=rejected)) == {0: ["identical_pair"]}


def test_case_and_prefix_make_two_different_responses() -> None:
    case = pair(1, chosen="Good film", rejected="good film")
    prefix = pair(2, chosen="good film", rejected="good film indeed")
    assert reasons_among_good(case, prefix) == {}


def test_length_ratio_includes_its_limit_and_works_both_ways() -> None:
    at_limit = pair(1, chosen="a" * 40, rejected="b" * 10)
    chosen_longer = pair(2, chosen="a" * 41, rejected="b" * 10)
    rejected_longer = pair(3, chosen="a" * 10, rejected="b" * 41)
    assert reasons_among_good(at_limit, chosen_longer, rejected_longer) == {1: ["length_ratio"], 2: ["length_ratio"]}


def test_a_row_has_all_reasons_of_a_round_sorted() -> None:
    row = pair(1, id=None, chosen="\ud800")
    del row["split"]
    assert reasons_among_good(row) == {0: ["missing_field", "not_utf8", "wrong_type"]}
    assert reasons_among_good({}) == {0: ["missing_field"]}


def test_every_reason_at_once_loses_no_row() -> None:
    base, row = pair(3), pair(28, prompt="Turned")
    planted = [
        (without(pair(20), "source"), "missing_field"),
        (pair(21, prompt=3), "wrong_type"),
        (pair(22, prompt="\ud800"), "not_utf8"),
        (pair(23, chosen="\u200b"), "blank_text"),
        (pair(24, prompt="p" * 201), "too_long"),
        (pair(25, margin=-0.5), "negative_margin"),
        (pair(26, chosen=pair(26)["rejected"]), "identical_pair"),
        (pair(27, chosen="a", rejected="bbbbb"), "length_ratio"),
        (row, "contradictory_pair"),
        (row | {"id": "x", "chosen": row["rejected"], "rejected": row["chosen"]}, "contradictory_pair"),
        (pair(30, prompt=pair(1)["prompt"], split="train"), "split_leakage"),
        (pair(31, id=base["id"]), "duplicate_id"),
        (base | {"id": "y"}, "duplicate_pair"),
    ]  # fmt: skip
    good = [pair(number) for number in range(len(planted))]
    rows = [row for index, (bad, _) in enumerate(planted) for row in (good[index], bad)]
    validated = validate_pairs(rows, SETTINGS)
    assert reasons_by_row(validated) == {2 * index + 1: [code] for index, (_, code) in enumerate(planted)}
    assert [one.as_record() for one in validated.accepted] == good
    never = dict.fromkeys((*WARNED, "over_context", "control_token"), 0)
    assert validated.counts == dict.fromkeys(REASONS, 1) | {"contradictory_pair": 2} | never
    unmarked = [
        {name: value for name, value in row.items() if name not in ("reasons", "row")} for row in validated.quarantined
    ]
    assert unmarked == [bad for bad, _ in planted]


def test_rows_are_left_as_they_were() -> None:
    rows = [pair(1), pair(1)]
    validate_pairs(rows, SETTINGS)
    assert rows == [pair(1), pair(1)]


def test_no_rows_is_an_error() -> None:
    with pytest.raises(PipelineError, match="no preference pair"):
        validate_pairs([], SETTINGS)


def test_a_row_that_is_no_mapping_is_an_error() -> None:
    rows: list[Any] = [pair(1), ["a", "b"]]
    with pytest.raises(PipelineError, match=r"pair 1 .* is a list"):
        validate_pairs(rows, SETTINGS)


@pytest.mark.parametrize(
    ("variable", "value"), [("PANDERA_VALIDATION_ENABLED", "False"), ("PANDERA_VALIDATION_DEPTH", "SCHEMA_ONLY")]
)
def test_no_environment_variable_waves_bad_pairs_through(variable: str, value: str) -> None:
    code = (
        "from tests.validation.planted import SETTINGS, pair\n"
        "from pipeline.validation.contract import validate_pairs\n"
        "print(len(validate_pairs([pair(1, chosen='')], SETTINGS).accepted))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {variable: value}, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "PipelineError" in done.stderr
    assert "Unset PANDERA_VALIDATION_ENABLED and PANDERA_VALIDATION_DEPTH" in done.stderr


def test_pandera_switched_off_within_the_process_is_noticed() -> None:
    with config_context(validation_enabled=False), pytest.raises(PipelineError, match="PANDERA_VALIDATION_ENABLED"):
        validate_pairs([pair(1)], SETTINGS)
