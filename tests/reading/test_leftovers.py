"""Preferences are never read as something else, nothing that changes a row is left out, and the rest is listed."""

import json
import re
from typing import Any

import pytest
from datasets import Dataset

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.entries import read_entries
from pipeline.reading.formats import as_read, detect_format, select_fields
from pipeline.reading.leftovers import unused_columns, unused_fields
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style
from tests.tiny_models import changed

WON_AND_LOST = [("win", "lose"), ("y_w", "y_l"), ("accepted", "refused"), ("good_answer", "bad_answer")]
WON_AND_LOST += [("winning_response", "losing_response")]
OTHER_ANSWERS = ["alternative", "alternatives", "incorrect", "wrong", "correction", "corrected_response", "rewrite"]
OTHER_ANSWERS += ["worse_response", "worseResponse", "rejectedAnswer", "negative", "negatives", "wrong_answer"]
OTHER_ANSWERS += ["revision", "improved", "other_response", "alt_answer", "original_response", "response_rewritten"]


@pytest.fixture
def data(params: Params) -> Data:
    return changed(
        params.data, format="auto", source="rows.jsonl", columns=dict.fromkeys(params.data.columns.model_dump())
    )


def source(row: dict[str, Any]) -> Source:
    return Source("rows.jsonl", Dataset.from_list([row]), 1.0)


@pytest.mark.parametrize(
    ("columns", "form"),
    [
        (["prompt", "response", "worse_response"], "preference_pairs"),
        (["prompt", "preferred_output", "non_preferred_output"], "preference_pairs"),
        (["prompt", "positive", "negative"], "preference_pairs"),
        (["prompt", "completion_a", "completion_b"], "comparisons"),
        (["text", "model_a", "model_b"], "comparisons"),
        (["question", "answer", "answer_2"], "comparisons"),
        (["prompt", "candidate_answers", "scores"], "scored_responses"),
        (["prompt", "upvotes"], "ratings"),
        (["question", "ranking"], "rankings"),
        *((["prompt", f"{one}", f"{other}"], "preference_pairs") for one, other in WON_AND_LOST),
        *((["prompt", "response", column], "thumbs") for column in ("thumbs_up", "liked", "is_preferred", "feedback")),
        (["prompt", "response", "quality"], "ratings"),
        *((["prompt", "response", column], "preference_pairs") for column in OTHER_ANSWERS),
        *((["text", column], "preference_pairs") for column in ("correction", "rewrite")),
    ],
)
def test_preferences_are_never_prompts_texts_or_demonstrations(columns: list[str], form: str, data: Data) -> None:
    row = source(dict.fromkeys(columns, "x"))
    with pytest.raises(PipelineError, match=rf"rows\.jsonl has .*looks like preferences \({form}\)") as error:
        detect_format(row, data)
    assert f"data.format: {form}" in str(error.value) and "ignore_columns" in str(error.value)
    assert columns[-1] in str(error.value)


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (("antwort_x", "antwort_y"), ("Das hier ist eine Antwort", "Das ist auch eine")),
        (("回答甲", "回答乙"), ("这是第一个完整的回答。", "这是另一个完整的回答。")),
    ],
)
def test_two_texts_beside_a_prompt_are_not_left_out_whatever_they_are_called(
    names: tuple[str, str], texts: tuple[str, str], data: Data
) -> None:
    rows = [{"prompt": f"Q{at}", names[0]: f"{texts[0]} {at}", names[1]: f"{texts[1]} {at}"} for at in range(4)]
    with pytest.raises(PipelineError, match=rf"By {names[0]}, {names[1]} it looks like preferences"):
        detect_format(Source("rows.jsonl", Dataset.from_list(rows), 1.0), data)
    other = [{"prompt": f"Q{at}", "id": f"id-{at}", "topic": "All about the history of art"} for at in range(4)]
    assert detect_format(Source("rows.jsonl", Dataset.from_list(other), 1.0), data).format == "prompts"


@pytest.mark.parametrize("words", [("chosen", "rejected"), ("Good", "Bad"), ("👍", "👎")])
def test_words_of_a_verdict_are_not_left_out_whatever_their_column_is_called(
    words: tuple[str, str], data: Data
) -> None:
    rows = [{"prompt": f"Q{at // 2}", "response": f"x{at}", "type": words[at % 2]} for at in range(4)]
    with pytest.raises(PipelineError, match=r"By type it looks like preferences \(thumbs\)"):
        detect_format(Source("rows.jsonl", Dataset.from_list(rows), 1.0), data)


def test_chosen_and_rejected_that_name_other_columns_are_no_texts(data: Data) -> None:
    row = {"prompt": "Q", "response_a": "x", "response_b": "y", "chosen": "A", "rejected": "B"}
    with pytest.raises(PipelineError, match=r"responses in response_a, response_b that nothing would read"):
        detect_format(source(row), data)
    asked = {**data.columns.model_dump(), "response_a": "response_a", "response_b": "response_b", "winner": "chosen"}
    named = changed(data, format="comparisons", columns=asked)
    (entry,) = read_entries(select_fields(source(row), detect_format(source(row), named)), named, Style())
    assert entry.record and entry.record["chosen"] == "x"
    assert detect_format(source(row), changed(data, ignore_columns=["response_a", "response_b"]))
    assert detect_format(source({**row, "chosen": "x", "rejected": "y"}), data).format == "preference_pairs"


@pytest.mark.parametrize(
    ("columns", "layout"),
    [(["prompt", "response_0", "response_1", "safer_response_id"], "pku_saferlhf"), (["prompt", "answers"], "nectar")],
)
def test_nor_are_the_columns_of_a_layout_with_other_values(columns: list[str], layout: str, data: Data) -> None:
    with pytest.raises(PipelineError, match=rf"fits no format with pairs\. .* those of {layout} "):
        detect_format(source(dict.fromkeys(columns, "x")), data)


def test_a_layout_uses_its_columns_and_nothing_else_may_change_its_meaning(data: Data) -> None:
    row = {"prompt": "Q", "response_0": "x", "response_1": "y", "better_response_id": 1, "is_safe": "no"}
    resolved = detect_format(source(row), data)
    assert resolved.format == "pku_saferlhf"
    assert unused_columns(source(row), resolved) == ["is_safe"]
    with pytest.raises(PipelineError, match=r"history would not be read .*ignore_columns: \[history\]"):
        detect_format(source({**row, "history": "Before that."}), data)


def test_a_coding_that_another_source_needs_leaves_layouts_as_they_are(data: Data) -> None:
    coding = {"first": [1], "second": [0], "tie": None, "skip": None}
    scores = [{"question": "Q", "answer_0": "x", "answer_1": "y", "score_0": 0.5, "score_1": -0.5}]
    asked = changed(data, winner_coding=coding)
    rows = Source("webgpt.jsonl", Dataset.from_list(scores), 1.0)
    resolved = detect_format(rows, asked)
    assert resolved.format == "webgpt_comparisons"
    (entry,) = read_entries(select_fields(rows, resolved), as_read(resolved), Style())
    assert entry.record and entry.record["chosen"].strip() == "x"
    better = [{"prompt": "Q", "response_0": "x", "response_1": "y", "better_response_id": 1}]
    rows = Source("safe.jsonl", Dataset.from_list(better), 1.0)
    resolved = detect_format(rows, asked)
    assert resolved.format == "pku_saferlhf", "1 would be the first"
    (entry,) = read_entries(select_fields(rows, resolved), as_read(resolved), Style())
    assert entry.record and entry.record["chosen"].strip() == "y"


def test_who_says_that_it_is_meant_is_believed(data: Data) -> None:
    row = source({"prompt": "Q", "upvotes": "3"})
    assert detect_format(row, changed(data, ignore_columns=["upvotes"])).format == "prompts"
    assert detect_format(row, changed(data, format="prompts")).format == "prompts"


@pytest.mark.parametrize(
    ("column", "auto"),
    [
        *((column, False) for column in ("system", "history", "images", "System_Prompt")),
        *((column, True) for column in ("images", "System_Prompt")),  # the others make it a layout
    ],
)
def test_what_changes_the_meaning_of_a_row_is_not_left_out(column: str, auto: bool, data: Data) -> None:
    pair = {"prompt": "Q", "chosen": "x", "rejected": "y"}
    asked = changed(data, format="auto" if auto else "preference_pairs")
    with pytest.raises(PipelineError, match=rf"{column} would not be read .*ignore_columns: \[{column}\]"):
        detect_format(source({**pair, column: "Be kind."}), asked)
    assert detect_format(source({**pair, column: ""}), asked).format == "preference_pairs", "nothing is lost"
    assert detect_format(source({**pair, column: "Be kind."}), changed(asked, ignore_columns=[column]))


def test_columns_and_fields_of_messages_that_nothing_reads_are_listed(data: Data) -> None:
    chat: list[dict[str, Any]] = [
        {"role": "user", "content": "Q", "name": "Ann"},
        {"role": "assistant", "content": "x", "weight": 0},
    ]
    rows = source({"chosen": chat, "rejected": [chat[0], {**chat[1], "content": "y"}], "id": 3})
    resolved = detect_format(rows, data)
    assert unused_columns(rows, resolved) == ["id"]
    assert unused_fields(rows, resolved) == ["chosen.name", "chosen.weight", "rejected.name", "rejected.weight"]


def test_calls_of_tools_and_what_tools_answer_are_read(data: Data) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    prompt: list[dict[str, Any]] = [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "", "tool_calls": [call], "weight": 1},
        {"role": "tool", "content": "5", "name": "f", "tool_call_id": "1"},
    ]
    sides = {side: [{"role": "assistant", "content": side}] for side in ("chosen", "rejected")}
    rows = source({"prompt": prompt, **sides})
    assert unused_fields(rows, detect_format(rows, data)) == ["prompt.weight"]


@pytest.mark.parametrize("prompt", [{}, {"prompt": "Q"}])
def test_messages_that_a_table_has_as_json_are_no_texts(prompt: dict[str, str], data: Data) -> None:
    asked = [{"role": "user", "content": "Q"}]
    pair = {
        name: json.dumps([*asked, {"role": "assistant", "content": text}])
        for name, text in (("chosen", "x"), ("rejected", "y"))
    }
    resolved = detect_format(source({**prompt, **pair}), data)
    (entry,) = read_entries(select_fields(source({**prompt, **pair}), resolved), resolved, Style())
    assert entry.record and entry.record["chosen"] == " x" and entry.record["prompt"] == "\n\nHuman: Q\n\nAssistant:"


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        (("prompt", "response", "worse_response"), {"prompt": 0, "chosen": 1, "rejected": 2}),
        (("query", "positive", "negative"), {"prompt": 0, "chosen": 1, "rejected": 2}),
        (("anchor", "positive", "negative"), {"prompt": 0, "chosen": 1, "rejected": 2}),
        (("anchor", "positive", "negative_1", "negative_2"), {"prompt": 0, "chosen": 1}),
        (("prompt", "response", "rewrite"), {"prompt": 0}),
    ],
)
def test_the_refusal_names_the_columns_as_far_as_their_names_leave_nothing_open(
    names: tuple[str, ...], fields: dict[str, int], data: Data
) -> None:
    texts = ("What is it?", "It is this one here.", "It is that one.", "Nobody knows what it is.")
    row = source(dict(zip(names, texts, strict=False)))
    with pytest.raises(PipelineError, match=r"data\.format: preference_pairs and") as error:
        detect_format(row, data)
    said = str(error.value)
    for field in ("prompt", "chosen", "rejected"):
        known = f"data.columns.{field}: {names[fields[field]]}" if field in fields else f"data.columns.{field}"
        assert re.search(rf"{re.escape(known)}[,;.](?! [a-z]+:)", said)


def test_triplets_of_sentence_transformers_are_pairs_when_they_are_declared(data: Data) -> None:
    row = source({"anchor": "What?", "positive": "This.", "negative": "That."})
    columns = {**data.columns.model_dump(), "prompt": "anchor", "chosen": "positive", "rejected": "negative"}
    resolved = detect_format(row, changed(data, format="preference_pairs", columns=columns))
    (entry,) = read_entries(select_fields(row, resolved), resolved, Style())
    assert entry.record == {"prompt": "What?", "chosen": "This.", "rejected": "That."}


@pytest.mark.parametrize("column", ["text", "context", "explanation", "category", "source", "id", "second", "model"])
def test_other_columns_beside_a_demonstration_are_left_out(column: str, data: Data) -> None:
    row = source({"prompt": "Q", "response": "x", column: "y"})
    assert detect_format(row, data).format == "demonstrations"


@pytest.mark.parametrize(
    ("column", "value"),
    [("context", "The Nile is a long river."), ("documents", ["The Nile is long.", "So is the Amazon."]),
     ("persona", "I am a nurse in Leeds."), ("post", "My cat will not eat, why?"), ("flipped", True),
     ("is_swapped", 1), ("order_reversed", "yes"), ("isFlipped", "Y"), ("flip", True), ("swap_sides", 1),
     ("meta", {"flipped": True}), ("documents", [{"title": "Nile", "text": "It is a long river."}])],
)  # fmt: skip
def test_what_a_prompt_is_about_and_what_turns_a_row_round_are_not_left_unread(
    column: str, value: Any, data: Data
) -> None:
    row = {"prompt": "Which is it?", "chosen": "This one.", "rejected": "That one."}
    with pytest.raises(PipelineError, match=rf"{column} would not be read .*ignore_columns: \[{column}\]"):
        detect_format(source({**row, column: value}), data)
    assert detect_format(source({**row, column: value}), changed(data, ignore_columns=[column])).columns.chosen


@pytest.mark.parametrize(("column", "value"), [("context", "train"), ("post", "t3_x7"), ("flipped", False)])
def test_a_place_and_a_row_that_is_not_turned_are_left_out(column: str, value: Any, data: Data) -> None:
    row = {"prompt": "Which is it?", "chosen": "This one.", "rejected": "That one.", column: value}
    assert detect_format(source(row), data).format == "preference_pairs"


def test_documents_that_are_named_as_the_context_go_into_the_prompt(data: Data) -> None:
    row = {"prompt": "Which?", "chosen": "This.", "rejected": "That.", "documents": ["One is here.", "Two is there."]}
    named = changed(data, columns={**data.columns.model_dump(), "context": "documents"})
    (entry,) = read_entries(
        select_fields(source(row), detect_format(source(row), named)), detect_format(source(row), named), Style()
    )
    assert entry.record and entry.record["prompt"] == "Which?\nOne is here.\n\nTwo is there."
    row["documents"] = [{"text": "One is here, they say."}]
    (entry,) = read_entries(
        select_fields(source(row), detect_format(source(row), named)), detect_format(source(row), named), Style()
    )
    assert entry.reason == "context_is_no_text"


def test_what_the_prompt_repeats_is_no_loss(data: Data) -> None:
    about = "The Nile is a long river."
    row = {"prompt": "The Nile is  a long\nriver. Which is it?", "chosen": "This one.", "rejected": "That one."}
    assert detect_format(source({**row, "context": about}), data).format == "preference_pairs"
