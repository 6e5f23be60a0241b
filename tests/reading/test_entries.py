"""Every format gives the same pairs; what gives none says why; votes, thumbs and ratings are put together."""

from typing import Any

import pytest
from datasets import Dataset

from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.entries import read_entries
from pipeline.reading.entry import Entry
from pipeline.reading.formats import as_read, detect_format, select_fields
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style
from pipeline.reading.verdicts import read_verdict
from pipeline.reading.votes import Vote
from tests.tiny_models import changed

NUMBERS = {
    "first": ["1", "a", "model_a", "first"],
    "second": ["2", "b", "model_b", "Text 2: it is"],
    "tie": ["0", "tie"],
    "skip": None,
}
LABELS = {"wanted": [1, True], "unwanted": [0, False]}
USER = {"role": "user", "content": "Why?"}
YES, NO = ({"role": "assistant", "content": text} for text in ("Yes", "No"))
TEXTS = ("Why?", "Yes", "No")
CHAT = ("\n\nHuman: Why?\n\nAssistant:", " Yes", " No")
JUDGED = """[User Question]
Why?

[The Start of Reference Answer]
Yes!
[The End of Reference Answer]

[The Start of Assistant A's Answer]
No
[The End of Assistant A's Answer]

[The Start of Assistant B's Answer]
Yes
[The End of Assistant B's Answer]"""


def reply(text: str, rank: int | None, *replies: Any) -> dict[str, Any]:
    return {"text": text, "role": "assistant", "rank": rank, "replies": list(replies)}


TREE = {"text": "Why?", "role": "prompter", "replies": [reply("No", 2), reply("Yes", 0), reply("Maybe", 1)]}


@pytest.fixture
def data(params: Params) -> Data:
    declared: dict[str, Any] = {"winner_coding": NUMBERS, "label_coding": LABELS, "best_rank": "lowest"}
    return changed(params.data, format="auto", source="rows.jsonl", **declared)


def read(rows: list[dict[str, Any]], data: Data, *, separator: str = "") -> tuple[str, list[Entry]]:
    """Format and entries of a source."""
    source = Source("rows.jsonl", Dataset.from_list(rows), 1.0)
    resolved = detect_format(source, data)
    return resolved.format, list(read_entries(select_fields(source, resolved), as_read(resolved), Style(separator)))


def texts(entry: Entry) -> tuple[str, ...]:
    assert entry.record is not None, entry.reason
    return tuple(entry.record[name] for name in ("prompt", "chosen", "rejected"))


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


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ("A", "a"), ("model_b", "b"), ("(b)", "b"), ("tie (bothbad)", "tie"), ("equal", "tie"), ("Text 9", None),
        ("Text 2, since", "b"), ("Text 1, because text 2 is wrong", "a"), ("Text 2, text 1 is bad", "b"),
        ("Response B, unlike A, is wrong", None), ("Response B - incorrect", None), ("Response A: worse", None),
        ("Response B: short. Response A: long. Winner: A", None), ("Response B: vague. So A wins", None),
        ("Textual", None), ("1", None), ("1.5", None), ("7", None), ("a2", "b"), ("A>>B", "a"), ("b > a", "b"),
        ("A=B", "tie"), ("A>A", None), ("Response 1: 3, Response 2: 5", None), ("Text 1 is worse", None),
        ("right", None), ("left", None), ("true", None), (1, None), (2, None), (0, None), (1.5, None), (3, None),
        (True, None), (None, None), (float("nan"), None),
    ],
)  # fmt: skip
def test_verdicts(value: Any, verdict: str | None) -> None:
    assert read_verdict(value) == verdict


def test_votes_are_counted(data: Data) -> None:
    def decided(*values: Any) -> Entry:
        named = {f"winner.{number}": value for number, value in enumerate(values)}
        row = {"prompt": "Q", "response_a": "a", "response_b": "b", **named}
        (entry,) = read_entries([row], changed(data, format="comparisons"), Style())
        return entry

    assert texts(decided("a", "b", "b")) == ("Q", "b", "a")
    assert texts(decided("a", "tie", None)) == ("Q", "a", "b")
    assert decided("a", "tie", "").votes == (Vote("winner.0", "a"), Vote("winner.1", "tie"))
    for undecided in (("a", "b", "tie"), ("tie", "tie", "a"), ("a", "b")):
        assert decided(*undecided).reason == "tie"
    assert decided("a", "who?", "a").reason == "unreadable_verdict", "no vote is left out in silence"
    assert decided(None, "").reason == "no_winner"


def test_votes_in_rows_of_their_own_are_put_together_in_either_order(data: Data) -> None:
    def vote(who: str, first: str, second: str, winner: Any) -> dict[str, Any]:
        return {"prompt": "Q", "output_1": first, "output_2": second, "winner": winner, "annotator": who}

    rows = [vote("u", "x", "y", 1), vote("v", "y", "x", 2), vote("w", "x", "y", 2), vote("u", "x", "z", 2)]
    form, entries = read([*rows, vote("v", "x", "z", 7)], data)
    assert form == "comparisons"
    refused, both, other = entries
    assert (refused.rows, refused.reason) == ((5,), "undeclared_winner")
    assert both.rows == (1, 2, 3) and texts(both) == ("Q", "x", "y")
    assert both.votes == (Vote("u", "a"), Vote("v", "a", swapped=True), Vote("w", "b"))
    assert other.rows == (4,) and texts(other) == ("Q", "z", "x")


def test_of_an_annotators_rows_on_an_item_the_last_one_counts(data: Data) -> None:
    def vote(who: str, item: str | None, winner: str, first: str = "x", second: str = "y") -> dict[str, Any]:
        texts = {"prompt": f"Q{item}", "response_a": first, "response_b": second}
        return {
            **texts,
            "item": item,
            "winner": winner,
            "annotator": who,
            "order": "ab",
            "time": "2025-01-01T00:00:00Z",
        }

    rows = [
        vote("ann", "1", "a"), vote("bob", "1", "a"), vote("ann", "1", "undo"), vote("ann", "1", "b"),
        vote("cy", "1", "a", "y", "x"), vote("ann", "2", "a"), vote("ann", "2", "undo"), vote("ann", "3", "skip"),
    ]  # fmt: skip
    form, entries = read(rows, data)
    assert form == "comparisons"
    assert sorted(row for entry in entries for row in entry.rows) == list(range(1, 9))
    reasons = {entry.rows: entry.reason for entry in entries if entry.record is None}
    assert reasons == {(1,): "superseded", (3,): "superseded", (6,): "superseded", (7,): "undone", (8,): "skipped"}
    (pair,) = (entry for entry in entries if entry.record is not None)
    assert texts(pair) == ("Q1", "y", "x") and pair.rows == (2, 4, 5)
    assert pair.votes == (Vote("bob", "a"), Vote("ann", "b"), Vote("cy", "b", swapped=True))


def test_without_items_every_row_is_a_vote(data: Data) -> None:
    row = {"prompt": "Q", "response_a": "x", "response_b": "y", "annotator": "judge"}
    (entry,) = read([{**row, "winner": "a"}, {**row, "winner": "tie"}], data)[1]
    assert entry.votes == (Vote("judge", "a"), Vote("judge", "tie")) and texts(entry) == ("Q", "x", "y")


def test_the_two_games_of_a_judge_have_to_agree(data: Data) -> None:
    def game(first: str, second: str) -> Entry:
        _, (entry,) = read([{"g1_user_prompt": JUDGED, "g1_winner": first, "g2_winner": second}], data)
        return entry

    assert texts(game("model_1", "model_1")) == ("Why?", "No", "Yes")
    assert game("model_1", "model_2").reason == "games_disagree"
    assert game("model_1", "tie").reason == "tie" == game("tie", "tie").reason
    assert game("model_1", "model_2").votes == (Vote("game 1", "a"), Vote("game 2", "b", swapped=True))
    assert game("model_1", "error").reason == "unreadable_verdict"


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
