"""Every format gives the same pairs; what gives none says why; thumbs and ratings are put together."""

from typing import Any

import pytest

from pipeline.params.data import Data
from pipeline.reading.entries import read_entries
from pipeline.reading.styles import Style
from tests.reading.read_rows import CHAT, JUDGED, TEXTS, read, texts
from tests.tiny_models import changed

USER = {"role": "user", "content": "Why?"}
YES, NO = ({"role": "assistant", "content": text} for text in ("Yes", "No"))


def reply(text: str, rank: int | None, *replies: Any) -> dict[str, Any]:
    return {"text": text, "role": "assistant", "rank": rank, "replies": list(replies)}


TREE = {"text": "Why?", "role": "prompter", "replies": [reply("No", 2), reply("Yes", 0), reply("Maybe", 1)]}


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
        (
            {"prompt": "Why?", "response_a": "No", "response_b": "Yes", "winner": "Text 2: it is", "worker": "w"},
            "comparisons",
            TEXTS,
        ),
        ({"g1_user_prompt": JUDGED, "g1_winner": "model_2", "g2_winner": "model_2"}, "judgements", TEXTS),
        ({"prompt": TREE}, "trees", CHAT),
        ({"prompt": "Why?", "responses": ["a", "No", "Yes"], "scores": [3, 1.5, 4]}, "scored_responses", TEXTS),
        (
            {
                "instruction": "Why?",
                "completions": [{"response": "No", "overall_score": 2.0}, {"response": "Yes", "overall_score": 8.5}],
            },
            "ultrafeedback",
            TEXTS,
        ),
    ],
)
def test_every_shape_gives_the_pair(row: dict[str, Any], form: str, expected: Any, data: Data) -> None:
    found, (entry, *others) = read([row], data)
    assert all(one.unused for one in others)
    assert (found, texts(entry)) == (form, expected or ("Why?\nNow?", "Yes", "No"))
    assert entry.rows == (1,)


@pytest.mark.parametrize(
    ("row", "form", "reason"),
    [
        ({"prompt": "Q", "response_a": "a", "response_b": "b", "winner": "tie"}, "comparisons", "tie"),
        ({"prompt": "Q", "response_a": "a", "response_b": "b", "winner": "who?"}, "comparisons", "unreadable_verdict"),
        ({"prompt": "Q", "response_a": "a", "response_b": None, "winner": "b"}, "comparisons", "empty_text"),
        ({"prompt": " ", "chosen": "a", "rejected": "b"}, "preference_pairs", "empty_prompt"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, "preference_pairs", "text_is_no_string"),
        ({"prompt": None, "chosen": 3, "rejected": "b"}, "preference_pairs", "text_is_no_string"),
        ({"prompt": [USER], "chosen": [YES, USER], "rejected": [NO]}, "preference_pairs", "response_has_several_turns"),
        ({"prompt": "Q", "responses": ["a"], "scores": [1]}, "scored_responses", "fewer_than_two_responses"),
        ({"prompt": "Q", "responses": ["a", "b"], "scores": [1]}, "scored_responses", "no_score_for_every_response"),
        ({"prompt": "Q", "responses": ["a", "b"], "scores": [1, "x"]}, "scored_responses", "score_is_no_number"),
        (
            {"prompt": "Q", "responses": ["a", "b"], "scores": [1, float("nan")]},
            "scored_responses",
            "score_is_no_number",
        ),
        ({"prompt": "Q", "responses": ["a", "b"], "scores": [2, 2]}, "scored_responses", "tie"),
    ],
)
def test_a_row_without_a_pair_says_why(row: dict[str, Any], form: str, reason: str, data: Data) -> None:
    if form == "comparisons":
        row = {**row, "winner.0": row.pop("winner")}
    (entry,) = read_entries([row], changed(data, format=form), Style())
    assert (entry.record, entry.reason) == (None, reason)


def test_every_two_of_a_round_robin_are_an_entry(data: Data) -> None:
    row = {"question": "Q", "prediction 1": "p", "prediction 2": "q", "prediction 3": "r", "preference": [0, 1, 2]}
    form, entries = read([row], data)
    assert form == "round_robin" and {entry.rows for entry in entries} == {(1,)}
    assert [entry.reason or texts(entry) for entry in entries] == ["tie", ("Q", "p", "r"), ("Q", "r", "q")]
    (short,) = read([{**row, "preference": [0, 1]}], data)[1]
    assert short.reason == "no_verdict_for_every_two"


def test_every_message_with_ranked_replies_is_an_entry(data: Data) -> None:
    question = {"text": "And?", "role": "prompter", "rank": None, "replies": [reply("p", 1), reply("q", 0)]}
    tree = {"text": "Why?", "role": "prompter", "replies": [reply("Yes", 0, question), reply("No", 1)]}
    first, second = read([{"prompt": tree}], data)[1]
    assert texts(first) == CHAT
    assert texts(second) == ("\n\nHuman: Why?\n\nAssistant: Yes\n\nHuman: And?\n\nAssistant:", " q", " p")
    alone = {"text": "Why?", "role": "prompter", "replies": [reply("Yes", 0), reply("No", None)]}
    (refused,) = read([{"prompt": alone}], data)[1]
    assert (refused.rows, refused.record, refused.reason) == ((1,), None, "no_ranked_replies")


@pytest.mark.parametrize(("column", "best", "worst"), [("score", "r", "p"), ("rank", "p", "r")])
def test_ratings_pair_the_best_and_the_worst(column: str, best: str, worst: str, data: Data) -> None:
    rows = [{"prompt": "Q", "response": text, column: value} for text, value in (("p", 1), ("q", 2), ("r", 3))]
    alone = {"prompt": "Alone", "response": "p", column: 1}
    equal = [{"prompt": "Equal", "response": text, column: 1} for text in "pq"]
    entries = read([*rows, alone, *equal], data)[1]
    pair, between, *others = entries
    assert texts(pair) == ("Q", best, worst) and set(pair.rows) == {1, 3}
    assert (between.rows, between.reason) == ((2,), "between_best_and_worst")
    assert [(one.rows, one.reason) for one in others] == [((4,), "unpaired"), ((5,), "tie"), ((6,), "tie")]


def test_a_separator_comes_between_texts_and_not_into_chats(data: Data) -> None:
    (pair,) = read([{"prompt": "Why?", "chosen": "Yes", "rejected": "No"}], data, separator="\n")[1]
    assert texts(pair) == ("Why?", "\nYes", "\nNo")
    (chat,) = read([{"prompt": [USER], "chosen": [YES], "rejected": [NO]}], data, separator="\n")[1]
    assert texts(chat) == CHAT


def test_demonstrations_texts_and_prompts(data: Data) -> None:
    def record(row: dict[str, Any]) -> Any:
        (entry,) = read([row], data)[1]
        return entry.record or entry.reason

    assert record({"instruction": "Why?", "input": "", "output": " So."}) == {"prompt": "Why?", "response": " So."}
    assert record({"conversations": [USER, YES]}) == {"prompt": CHAT[0], "response": CHAT[1]}
    assert record({"text": "A film"}) == {"text": "A film"}
    assert record({"prompt": "Why?"}) == {"prompt": "Why?"}
    assert record({"prompt": [USER]}) == {"prompt": CHAT[0]}
    assert record({"prompt": " "}) == "empty_prompt"


def test_thumbs_may_be_numbers_truth_values_or_texts_of_a_table(data: Data) -> None:
    for good, bad in ((1, 0), (True, False), ("true", "false"), ("1", "0"), (1.0, 0.0)):
        rows = [{"prompt": "Why?", "response": text, "label": label} for text, label in (("Yes", good), ("No", bad))]
        (entry,) = read(rows, data)[1]
        assert texts(entry) == TEXTS and entry.rows == (1, 2)
    for label in (2, "yes", float("nan")):
        (entry,) = read([{"prompt": "Why?", "response": "Yes", "label": label}], data)[1]
        assert entry.reason == "undeclared_label"
    for label in (None, 2, "yes", float("nan")):
        thumb = {"prompt": "Why?", "response": "Yes", "label": label}
        (entry,) = read_entries([thumb], changed(data, format="thumbs"), Style())
        assert entry.reason == "label_not_0_or_1"
