"""Every shape of preference data is found by its columns and gives the same pairs."""

from typing import Any

import pytest
from datasets import Dataset

from pipeline.data.chats import Unreadable
from pipeline.data.formats import detect_format, read_preference, read_thumb, read_verdict, select_fields
from pipeline.errors import PipelineError
from pipeline.params.schema import Data, Params
from tests.tiny_models import changed

USER = {"role": "user", "content": "Why?"}
YES, NO = ({"role": "assistant", "content": text} for text in ("Yes", "No"))
TEXTS = ("Why?", "Yes", "No")
CHAT = ("\n\nHuman: Why?\n\nAssistant:", " Yes", " No")


@pytest.fixture
def data(params: Params) -> Data:
    return changed(params.data, format="auto", source="rows.jsonl")


def read(row: dict[str, Any], data: Data) -> tuple[str, tuple[str, ...]]:
    """Format and texts of a one-row source."""
    rows = Dataset.from_list([row])
    resolved = detect_format(rows.column_names, data)
    (selected,) = select_fields(rows, resolved)
    texts = read_preference(selected, resolved.format)
    return resolved.format, (texts["prompt"], texts["chosen"], texts["rejected"])


@pytest.mark.parametrize(
    ("row", "form", "expected"),
    [
        ({"prompt": "Why?", "chosen": "Yes", "rejected": "No", "id": 3}, "preference_pairs", TEXTS),
        ({"instruction": "Why?", "input": "Now?", "chosen": "Yes", "rejected": "No"}, "preference_pairs", None),
        ({"instruction": "Why?", "input": "", "chosen": "Yes", "rejected": "No"}, "preference_pairs", TEXTS),
        ({"prompt": [USER], "chosen": [YES], "rejected": [NO]}, "preference_pairs", CHAT),
        ({"prompt": "Why?", "chosen": [USER, YES], "rejected": [USER, NO]}, "preference_pairs", CHAT),
        ({"chosen": [USER, YES], "rejected": [USER, NO]}, "preference_pairs", CHAT),
        ({"chosen_messages": [USER, YES], "rejected_messages": [USER, NO]}, "preference_pairs", CHAT),
        (
            {
                "conversations": [{"from": "human", "value": "Why?"}],
                "chosen": {"from": "gpt", "value": "Yes"},
                "rejected": {"from": "gpt", "value": "No"},
            },
            "preference_pairs",
            CHAT,
        ),
        ({"chosen": f"{CHAT[0]} Yes", "rejected": f"{CHAT[0]} No"}, "preference_pairs", CHAT),
        ({"input": "Why?", "output_1": "No", "output_2": "Yes", "label": 2}, "comparisons", TEXTS),
        ({"prompt": "Why?", "response_a": "Yes", "response_b": "No", "winner": "model_a"}, "comparisons", TEXTS),
        (
            {
                "instruction": "Why?",
                "input": "",
                "response1": "No",
                "response2": "Yes",
                "annotator1": 2,
                "annotator2": 0,
                "annotator3": 2,
            },
            "comparisons",
            TEXTS,
        ),
        (
            {"conversation_a": [USER, NO], "conversation_b": [USER, YES], "winner": "model_b"},
            "comparisons",
            CHAT,
        ),
        ({"prompt": "Why?", "responses": ["a", "No", "Yes"], "scores": [3, 1.5, 4]}, "scored_responses", TEXTS),
        (
            {
                "instruction": "Why?",
                "completions": [{"response": "No", "overall_score": 2.0}, {"response": "Yes", "overall_score": 8.5}],
            },
            "scored_responses",
            TEXTS,
        ),
    ],
)
def test_every_shape_gives_the_pair(row: dict[str, Any], form: str, expected: Any, data: Data) -> None:
    assert read(row, data) == (form, expected or ("Why?\nNow?", "Yes", "No"))


@pytest.mark.parametrize(
    ("row", "form", "reason"),
    [
        ({"prompt": "Q", "response_a": "a", "response_b": "b", "winner": "tie"}, "comparisons", "tie"),
        ({"prompt": "Q", "response_a": "a", "response_b": "b", "winner": "who?"}, "comparisons", "unreadable_verdict"),
        ({"prompt": "Q", "response_a": "a", "response_b": None, "winner": "b"}, "comparisons", "text_is_no_string"),
        ({"prompt": " ", "chosen": "a", "rejected": "b"}, "preference_pairs", "empty_prompt"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, "preference_pairs", "text_is_no_string"),
        ({"prompt": None, "chosen": 3, "rejected": "b"}, "preference_pairs", "text_is_no_string"),
        ({"prompt": [USER], "chosen": [YES, USER], "rejected": [NO]}, "preference_pairs", "several_turns"),
        ({"prompt": "Q", "responses": ["a"], "scores": [1]}, "scored_responses", "fewer_than_two"),
        ({"prompt": "Q", "responses": ["a", "b"], "scores": [1]}, "scored_responses", "no_score_for_every"),
        ({"prompt": "Q", "responses": ["a", "b"], "scores": [1, "x"]}, "scored_responses", "score_is_no_number"),
        ({"prompt": "Q", "responses": ["a", "b"], "scores": [1, float("nan")]}, "scored_responses", "no_number"),
        ({"prompt": "Q", "responses": ["a", "b"], "scores": [2, 2]}, "scored_responses", "tie"),
    ],
)
def test_a_row_without_a_pair_says_why(row: dict[str, Any], form: str, reason: str) -> None:
    if form == "comparisons":
        row = {**row, "winner.0": row.pop("winner")}
    with pytest.raises(Unreadable, match=reason):
        read_preference(row, form)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ("A", "a"), ("model_b", "b"), ("(b)", "b"), ("tie (bothbad)", "tie"), ("equal", "tie"), ("Text 9", None),
        (1, "a"), (2, "b"), (0, "tie"), (1.5, "tie"), (1.2, "a"), (1.9, "b"), (3, None), (True, None), (None, None),
        (float("nan"), None),
    ],
)  # fmt: skip
def test_verdicts(value: Any, verdict: str | None) -> None:
    assert read_verdict(value) == verdict


def test_votes_are_counted() -> None:
    def votes(*values: Any) -> dict[str, str]:
        named = {f"winner.{number}": value for number, value in enumerate(values)}
        return read_preference({"prompt": "Q", "response_a": "a", "response_b": "b", **named}, "comparisons")

    assert votes(1, 2, 2)["chosen"] == "b"
    assert votes(1, 0, None)["chosen"] == "a"
    for undecided in ((1, 2, 0), (0, 0, 1), (1, 2)):
        with pytest.raises(Unreadable, match="tie"):
            votes(*undecided)


def test_a_separator_comes_between_texts_and_not_into_chats() -> None:
    texts = {"prompt": "Why?", "chosen": "Yes", "rejected": "No"}
    expected = {"prompt": "Why?", "chosen": "\nYes", "rejected": "\nNo"}
    assert read_preference(texts, "preference_pairs", separator="\n") == expected
    chat = read_preference({"prompt": [USER], "chosen": [YES], "rejected": [NO]}, "preference_pairs", separator="\n")
    assert tuple(chat.values()) == CHAT
    assert read_thumb({"prompt": "Why?", "response": "Yes", "label": 1}, separator=" ")[1] == " Yes"


def test_a_column_that_says_who_voted_is_no_vote(data: Data) -> None:
    names = ["prompt", "response_a", "response_b", "winner", "annotator"]
    assert detect_format(names, data).columns.winner == ["winner"]
    assert detect_format([*names, "annotator_1", "annotator_2"], data).columns.winner == ["annotator_1", "annotator_2"]


def test_thumbs() -> None:
    assert read_thumb({"prompt": "Why?", "response": "Yes", "label": True}) == ("Why?", "Yes", True)
    assert read_thumb({"response": [USER, NO], "label": 0}) == (CHAT[0], CHAT[2], False)
    for label in (None, 2, "yes", float("nan")):
        with pytest.raises(Unreadable, match="label_not_0_or_1"):
            read_thumb({"prompt": "Why?", "response": "Yes", "label": label})


def test_a_forced_format_names_the_column_that_is_missing(data: Data) -> None:
    forced = changed(data, format="labelled_texts")
    with pytest.raises(PipelineError, match=r"^data\.columns\.text is 'text', but rows\.jsonl has .* review, label\."):
        detect_format(["review", "label"], forced)
    with pytest.raises(PipelineError, match=r"data\.columns\.winner is null and .* \(winner, preference, label\)"):
        detect_format(["prompt", "response_a", "response_b", "score"], changed(data, format="comparisons"))
    with pytest.raises(PipelineError, match=r"fit no format .*chosen, rejected"):
        detect_format(["question", "gold"], data)


def test_labelled_texts_are_found_last(data: Data) -> None:
    assert detect_format(["text", "label", "chosen", "rejected"], data).format == "preference_pairs"
    resolved = detect_format(["text", "label", "user"], data)
    assert resolved.format == "labelled_texts" and resolved.columns.prompt is None


def test_columns_may_change_places(data: Data) -> None:
    # a data set whose chosen and rejected columns are named the other way round
    columns = {**data.columns.model_dump(), "chosen": "rejected", "rejected": "chosen"}
    row = {"prompt": "Q?", "chosen": " worse", "rejected": " better"}
    assert read(row, changed(data, columns=columns))[1] == ("Q?", " better", " worse")


def test_two_fields_may_not_share_a_column(data: Data) -> None:
    columns = {**data.columns.model_dump(), "rejected": "chosen"}
    with pytest.raises(PipelineError, match="two share one"):
        detect_format(["prompt", "chosen"], changed(data, format="preference_pairs", columns=columns))
