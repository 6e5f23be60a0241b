"""A row that a layout refuses says which value is the cause; so does the refusal of a whole source, with what to do."""

import ast
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.params.schema import Data, Params
from pipeline.reading.formats import detect_format
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.reasons import ADVICE
from tests.reading.layouts.examples import EXAMPLES
from tests.reading.layouts.reading import read, source
from tests.reading.layouts.texts import say
from tests.tiny_models import changed

FOLDER = Path(__file__).parents[3] / "pipeline" / "reading"
SIDES = ["left", "right"]


@pytest.fixture
def data(params: Params) -> Data:
    return changed(params.data, format="auto", source="rows.jsonl")


def voted(*results: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"result": [{"type": "pairwise", **result} for result in results]}]


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("openai_preference", {"input": {"prompt": "Hi"}}, "no_messages", "{'prompt': 'Hi'}"),
    ("openai_preference", {"preferred_output": None}, "empty_text", "'preferred_output': None"),
    ("openai_preference", {"preferred_output": say("Why?", "x")}, "no_shared_turn", "Why?"),
    ("pku_saferlhf", {"better_response_id": 2}, "not_in_the_coding", "2"),
    ("auto_j", {"label": "first"}, "not_in_the_coding", "'first'"),
    ("webgpt_comparisons", {"score_0": None}, "no_winner", "'score_0': None"),
    ("webgpt_comparisons", {"score_0": 0.25}, "scores_contradict_each_other", "'score_0': 0.25"),
    ("shp", {"score_A": 1}, "scores_contradict_label", "'score_A': 1"),
    ("helpsteer_ratings", {"helpfulness": None}, "no_score", "None"),
    ("helpsteer2_preference", {"preference_strength": 5}, "not_in_the_coding", "5"),
    ("helpsteer3_preference", {"overall_preference": None}, "no_winner", "None"),
    ("nectar", {"answers": "none"}, "answers_malformed", "'none'"),
    ("nectar", {"answers": [{"answer": "x"}]}, "no_rank", "{'answer': 'x'}"),
    ("nectar", {"answers": [{"answer": "x", "rank": 1}]}, "fewer_than_two_responses", "'x'"),
    ("nectar", {"answers": [{"answer": text, "rank": 1} for text in "xy"]}, "tie", "1"),
    ("stack_exchange_preferences", {"answers": [{"text": "x"}]}, "no_score", "{'text': 'x'}"),
    ("stack_exchange_paired", {"response_j": 3}, "text_is_no_string", "3"),
    ("judge_bench", {"label": "A=B"}, "not_in_the_coding", "'A=B'"),
    ("rm_bench", {"chosen": "good"}, "no_list_of_responses", "'good'"),
    ("rm_bench", {"chosen": [3]}, "text_is_no_string", "[3]"),
    ("summarize_from_feedback", {"info": "a post"}, "info_malformed", "'a post'"),
    ("summarize_from_feedback", {"summaries": [{"text": "one"}]}, "not_two_summaries", "'one'"),
    ("ms_swift", {"messages": say("Hi", "x", "Why?")}, "response_is_not_the_assistants", "'user'"),
    ("messages_pairs", {"messages": say("Hi", "x")}, "prompt_does_not_end_with_the_user", "'assistant'"),
    ("system_pairs", {"status": "tie"}, "tie", "'tie'"),
    ("system_pairs", {"prompt": "Where?"}, "two_prompts", "'Where?'"),
    ("system_pairs", {"history": "Hi"}, "history_malformed", "'Hi'"),
    ("ms_swift_query", {"rejected_response": " "}, "empty_text", "' '"),
    ("lmsys_kaggle", {"prompt": "Hi"}, "no_list_of_turns", "'Hi'"),
    ("lmsys_kaggle", {"prompt": ["Hi", "Why?"]}, "turns_without_an_answer", "'Why?'"),
    ("lmsys_kaggle", {"winner_tie": 1}, "not_one_winner", "'winner_tie': 1"),
    ("ultrafeedback", {"completions": 3}, "completions_malformed", "3"),
    ("distilabel_ratings", {"generations": "x"}, "no_list_of_responses", "'x'"),
    ("distilabel_ratings", {"ratings": [1]}, "no_score_for_every_response", "[1]"),
    ("pos_neg", {"query": None}, "no_prompt", "'good'"),
    ("label_studio_pairwise", {"data": "Hi"}, "data_malformed", "'Hi'"),
    ("label_studio_pairwise", {"data": {"answer1": "x", "answer2": "y"}}, "no_prompt", "['answer1', 'answer2']"),
    ("label_studio_pairwise", {"data": {"mine": "x", "yours": "y"}}, "left_and_right_unclear", "['mine', 'yours']"),
    ("label_studio_pairwise", {"annotations": []}, "no_winner", "[]"),
    ("label_studio_pairwise", {"annotations": voted({"value": {"selected": "up"}})}, "not_in_the_coding", "'up'"),
    (
        "label_studio_pairwise",
        {"annotations": voted(*({"from_name": side, "value": {"selected": side}} for side in SIDES))},
        "several_questions",
        "['left', 'right']",
    ),
]


@pytest.mark.parametrize(("name", "change", "reason", "seen"), REFUSED, ids=[f"{one[0]}-{one[2]}" for one in REFUSED])
def test_a_row_that_a_layout_refuses_says_what_was_seen(
    name: str, change: dict[str, Any], reason: str, seen: str, data: Data
) -> None:
    first = EXAMPLES[name][0][0]
    _, entries = read([first, {**first, **change}], changed(data, format=name))
    (entry,) = (one for one in entries if 2 in one.rows and not one.unused)
    assert (entry.record, entry.reason) == (None, reason)
    assert seen in entry.seen and len(entry.seen) < 300
    assert reason in ADVICE


def test_every_layout_has_a_row_that_it_refuses() -> None:
    assert {name for name, *_ in REFUSED} == set(LAYOUTS)


def test_no_refusal_is_without_what_was_seen() -> None:
    """A tie is seen in the votes, which entries show."""
    for file in FOLDER.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", None) == "Unreadable":
                assert len(call.args) > 1 or file.name == "verdicts.py", f"{file}:{call.lineno}"


def test_a_source_that_contradicts_its_layout_is_refused_with_a_value_and_what_to_do(data: Data) -> None:
    rows = [{"prompt": "Hi", "response_0": "x", "response_1": "y", "better_response_id": 7}]
    with pytest.raises(PipelineError, match=r"1 not_in_the_coding \(such as 7; its layout has other values; name"):
        detect_format(source(rows), data)
    rows = [{"question": "Hi", "answers": [{"text": text, "pm_score": 3} for text in "xy"]}]
    with pytest.raises(
        PipelineError, match=r"no row with a preference \(1 tie \(such as \[3\.0, 3\.0\]; nothing is wrong"
    ):
        detect_format(source(rows), data)


def test_ties_and_what_is_left_unpaired_say_what_was_seen(data: Data) -> None:
    vote = {"prompt": "Hi", "response_a": "x", "response_b": "y"}
    _, (entry,) = read([{**vote, "winner": "tie"}], data)
    assert (entry.reason, entry.seen) == ("tie", "tie")
    labels = {"wanted": [1], "unwanted": [0]}
    _, (entry,) = read([{"prompt": "Hi", "response": "x", "label": 1}], changed(data, label_coding=labels))
    assert (entry.reason, entry.seen) == ("unpaired", "'x'")
    _, entries = read([{"prompt": "Hi", "response": text, "score": 3} for text in "xy"], data)
    assert [(one.reason, one.seen) for one in entries] == [("tie", f"{{'score': 3.0}}, '{text}'") for text in "xy"]
