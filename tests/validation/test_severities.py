"""Rules of texts and lengths, and what the severity of a rule does: reject, or count and keep."""

from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.params.schema import ValidatePreferences
from pipeline.validation.contract import validate_pairs
from pipeline.validation.thresholds import check_thresholds
from tests.validation.planted import SETTINGS, Told, pair, reasons_among_good, reasons_by_row


@pytest.mark.parametrize(
    "token", ["<|im_end|>", "</s>", "<|eot_id|>", "<end_of_turn>", "[INST]", "<|start header id|>"]
)
def test_control_tokens_are_refused_in_every_text(token: str) -> None:
    for field in ("prompt", "chosen", "rejected"):
        assert reasons_among_good(pair(1, **{field: f"a good {token} film"})) == {0: ["control_token"]}


@pytest.mark.parametrize("text", ["<b>bold</b>", "a < b | c > d", "</script>", "<strong>", "[INSTALL]"])
def test_other_markup_is_no_control_token(text: str) -> None:
    assert reasons_among_good(pair(1, chosen=text, rejected="another text")) == {}


def test_prompts_of_a_chat_template_have_control_tokens_by_right() -> None:
    rows = [pair(1, prompt="<|im_start|>user\nHi<|im_end|>\n"), pair(2, chosen="now <|im_end|> then")]
    assert reasons_by_row(validate_pairs(rows, SETTINGS, templated=True)) == {1: ["control_token"]}


def test_tokens_above_the_limit_break_a_rule() -> None:
    rows = [pair(number) for number in range(3)]
    assert reasons_by_row(validate_pairs(rows, SETTINGS, meter=Told([20, 21, 5]))) == {1: ["over_context"]}


def test_a_rule_that_warns_counts_and_keeps_the_pair() -> None:
    prefix = pair(1, chosen="a good film", rejected="a good film indeed")
    validated = validate_pairs([pair(0), prefix], SETTINGS)
    assert len(validated.accepted) == 2 and validated.counts["prefix_pair"] == 1
    assert dict(validated.found) == {1: {"prefix_pair"}}
    strict = SETTINGS.model_copy(update={"reject": {**SETTINGS.reject, "prefix_pair": 1.0}})
    assert reasons_by_row(validate_pairs([pair(0), prefix], strict)) == {1: ["prefix_pair"]}


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("bidi_control", {"rejected": "a \u202eevil film"}),
        ("replacement_character", {"prompt": "The caf\ufffd is"}),
        ("mojibake", {"chosen": "a café film".encode().decode("latin-1")}),
        ("prompt_repeated", {"rejected": "The film number 1 is a bore."}),
        ("scores_contradict_label", {"source": "given", "margin": None, "chosen_score": 1.0, "rejected_score": 2.0}),
    ],
)
def test_what_is_odd_is_counted_and_may_be_refused(code: str, changes: dict[str, Any]) -> None:
    rows = [pair(0), pair(1, **changes)]
    validated = validate_pairs(rows, SETTINGS)
    assert len(validated.accepted) == 2 and dict(validated.found) == {1: {code}} and validated.counts[code] == 1
    strict = SETTINGS.model_copy(update={"reject": {**SETTINGS.reject, code: 1.0}})
    assert reasons_by_row(validate_pairs(rows, strict)) == {1: [code]}


def test_a_near_duplicate_is_the_later_of_two() -> None:
    text, other = (" ".join(f"{word}{number}" for number in range(15)) for word in ("one", "two"))
    first = pair(1, chosen=text, rejected=other)
    rows = [first, first | {"id": "id-2", "chosen": f"{text} indeed"}]
    validated = validate_pairs(rows, SETTINGS)
    assert len(validated.accepted) == 2 and dict(validated.found) == {1: {"near_duplicate"}}


def test_a_share_above_the_threshold_of_a_rule_fails_by_its_name() -> None:
    rows = [pair(number) for number in range(9)]
    rows[4] = pair(4, chosen="a good film", rejected="a good film indeed")
    allowed = SETTINGS.model_copy(update={"warn": {**SETTINGS.warn, "prefix_pair": 1 / 9}})
    check_thresholds(validate_pairs(rows, allowed), allowed)
    stricter = SETTINGS.model_copy(update={"warn": {**SETTINGS.warn, "prefix_pair": 0.1}})
    with pytest.raises(PipelineError, match=r"1 of 9 pairs break the rule prefix_pair .* validate_preferences\.warn"):
        check_thresholds(validate_pairs(rows, stricter), stricter)


def test_every_rule_has_one_severity() -> None:
    values = SETTINGS.model_dump()
    with pytest.raises(ValueError, match="correct too_long"):
        ValidatePreferences.model_validate({**values, "warn": {**values["warn"], "too_long": 1.0}})
    without_one = {rule: share for rule, share in values["reject"].items() if rule != "identical_pair"}
    with pytest.raises(ValueError, match="correct identical_pair"):
        ValidatePreferences.model_validate({**values, "reject": without_one})
    with pytest.raises(ValueError, match="identical_pair cannot be trained on"):
        ValidatePreferences.model_validate(
            {**values, "reject": without_one, "warn": {**values["warn"], "identical_pair": 1.0}}
        )
