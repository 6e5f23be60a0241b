"""What each layout says it used and what it did not: columns, and fields inside the objects of a row."""

from typing import Any

import pytest

from pipeline.params.schema import Data, Params
from pipeline.reading.formats import detect_format, select_fields
from pipeline.reading.leftovers import unused_columns, unused_fields
from tests.reading.layouts.examples import EXAMPLES
from tests.reading.layouts.reading import source
from tests.reading.layouts.texts import say
from tests.tiny_models import changed

UNUSED: dict[str, tuple[list[str], list[str]]] = {
    "openai_preference": ([], ["input.parallel_tool_calls"]),
    "pku_saferlhf": (["is_response_0_safe", "is_response_1_safe", "safer_response_id"], []),
    "webgpt_comparisons": (["quotes_0"], ["question.dataset", "question.id"]),
    "helpsteer_ratings": (["correctness", "coherence", "complexity", "verbosity"], []),
    "helpsteer3_preference": (["language"], []),
    "nectar": ([], ["answers.model"]),
    "stack_exchange_preferences": (["qid"], ["answers.selected"]),
    "stack_exchange_paired": (["qid"], []),
    "summarize_from_feedback": ([], ["summaries.policy"]),
    "system_pairs": (["original_chosen", "original_rejected"], []),
    "lmsys_kaggle": (["id"], []),
    "ultrafeedback": ([], ["completions.annotations"]),
    "label_studio_pairwise": (
        ["id", "predictions"],
        [*(f"annotations.{key}" for key in ("id", "lead_time", "result.id", "result.value.choices"))],
    ),
}
"""By layout, columns and fields of its examples; of the others nothing."""
KINDS, SAID = ("preferred", "non_preferred"), ("output", "completion")
INSIDE: dict[str, list[str]] = {
    "openai_preference": ["input", "input.messages", *(f"{kind}_{said}" for kind in KINDS for said in SAID)],
    "webgpt_comparisons": ["question"],
    "helpsteer3_preference": ["context"],
    "nectar": ["answers"],
    "stack_exchange_preferences": ["answers"],
    "summarize_from_feedback": ["info", "summaries"],
    "ms_swift": ["messages", "rejected_messages", "rejected_response"],
    "messages_pairs": ["messages", "chosen", "rejected", "conversation"],
    "ultrafeedback": ["completions"],
    "label_studio_pairwise": ["data", "annotations", "annotations.result", "annotations.result.value"],
}
"""Paths of the objects that a layout reads, where its examples have any."""


@pytest.fixture
def data(params: Params) -> Data:
    return changed(params.data, format="auto", source="rows.jsonl")


def noted(value: Any) -> Any:
    """The same with a note in each object."""
    if isinstance(value, list):
        return [noted(one) for one in value]
    return {**{key: noted(one) for key, one in value.items()}, "note": "more"} if isinstance(value, dict) else value


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_source_says_which_columns_and_fields_its_layout_did_not_read(name: str, data: Data) -> None:
    raw = source([row for row, _ in EXAMPLES[name]])
    resolved = detect_format(raw, data)
    assert (unused_columns(raw, resolved), unused_fields(raw, resolved)) == UNUSED.get(name, ([], []))


@pytest.mark.parametrize("name", EXAMPLES)
def test_another_column_and_a_field_in_each_object_are_said(name: str, data: Data) -> None:
    examples = [row for row, _ in EXAMPLES[name]]
    raw = source([{**{key: noted(value) for key, value in row.items()}, "more": "x"} for row in examples])
    resolved = detect_format(raw, data)
    assert resolved.format == name, "nothing else changes"
    columns, fields = UNUSED.get(name, ([], []))
    assert set(unused_columns(raw, resolved)) == {*columns, "more"}
    assert set(unused_fields(raw, resolved)) == {*fields, *(f"{path}.note" for path in INSIDE.get(name, []))}


def test_fields_of_messages_that_a_cell_has_as_text_are_said(data: Data) -> None:
    row = {side: str(noted(say("Hi", side))) for side in ("chosen", "rejected")}
    raw = source([row])
    assert unused_fields(raw, detect_format(raw, data)) == ["chosen.note", "rejected.note"]


def test_fields_of_scored_responses_and_trees_are_said(data: Data) -> None:
    scored = source(
        [{"prompt": "Hi", "responses": [{"text": text, "score": len(text), "model": "m"} for text in "xy"]}]
    )
    assert unused_fields(scored, detect_format(scored, data)) == ["responses.model"]
    replies = [{"role": "assistant", "text": text, "rank": at, "lang": "en"} for at, text in enumerate("xy")]
    tree = source([{"prompt": {"role": "prompter", "text": "Hi", "replies": replies, "lang": "en"}}])
    assert unused_fields(tree, detect_format(tree, data)) == ["prompt.lang", "prompt.replies.lang"]


def test_a_column_that_tells_a_layout_may_be_the_kind_of_prompt(data: Data) -> None:
    raw = source([row for row, _ in EXAMPLES["auto_j"]])
    resolved = detect_format(raw, data)
    assert resolved.columns.category == ["scenario"]
    assert {row["category"] for row in select_fields(raw, resolved)} == {"chat"}
