"""Given pairs, thumbs and ties: their splits, prompts, scores and categories, and what is counted."""

import random
from collections.abc import Iterable
from typing import Any

import pytest

from pipeline.data.record_store import begins_behind_letter
from pipeline.params.data import Data
from pipeline.preferences.given import given_pairs, given_records
from pipeline.preferences.given_table import given_ties
from tests.data.prepared import SPLITS, pairs, prepare, texts
from tests.tiny_models import changed


def test_given_pairs_keep_their_split_and_their_prompts(preferences: Data) -> None:
    rows: list[dict[str, Any]] = [*pairs(400), pairs(1)[0], {"prompt": " ", "chosen": "a", "rejected": "b"}]
    rows.append({"prompt": "Q?", "chosen": None, "rejected": "b"})
    prepared = prepare(rows, preferences, seed=0)
    assert sum(prepared.counts.values()) == len(rows)
    assert prepared.counts["dropped.duplicate"] == 1
    assert prepared.counts["dropped.empty_prompt"] == 1
    assert prepared.counts["dropped.empty_text"] == 1
    for split in ("train", "validation", "test"):
        chosen = [pair for pair in given_records(prepared.paired) if pair["split"] == split]
        assert len(chosen) == prepared.counts[f"used.{split}"]
        # two pairs ask each question: one prompt, both pairs
        assert {pair["prompt"] for pair in chosen} == {row["prompt"] for row in prepared.prompts[split]}
        assert len(prepared.prompts[split]) == len(chosen) / 2
    assert set(given_records(prepared.paired)[0]) == {
        "id",
        "prompt",
        "category",
        "chosen",
        "rejected",
        "split",
        "origin",
    }
    for pair in given_records(prepared.paired):
        (row,) = pair["origin"]["rows"]
        assert pair["origin"]["file"] == "rows" and rows[row - 1]["chosen"] == pair["chosen"]
    assert {pair["split"] for pair in given_records(prepared.paired)} == {"train", "validation", "test"}


def test_given_pairs_are_not_on_two_sides(preferences: Data) -> None:
    prepared = prepare(pairs(400), preferences, seed=0)
    sides: dict[str, set[str]] = {}
    for name, rows in (*prepared.prompts.items(), ("sft", prepared.texts["train"])):
        for row in rows:
            sides.setdefault(row["prompt"], set()).add(name)
    assert all(len(names) == 1 for names in sides.values())


def test_a_pair_gives_the_judge_a_text_of_each_label(preferences: Data) -> None:
    data = changed(preferences, splits={**dict.fromkeys(SPLITS, 0.0), "judge": 1.0})
    labels = prepare(pairs(40), data, seed=0).labels
    rows = [*labels["train"], *labels["test"]]
    assert len(rows) == 80
    texts_of = {(row["text"], row["label"]) for row in rows}
    assert ("Question 0? Yes, 0.", 1) in texts_of and ("Question 0? No, 0.", 0) in texts_of


def test_sft_learns_the_chosen_response_whole(preferences: Data) -> None:
    data = changed(preferences, splits={**dict.fromkeys(SPLITS, 0.0), "sft": 1.0})
    rows = prepare(pairs(4), data, seed=0).texts["train"]
    assert {(row["prompt"], row["response"], row["ended"]) for row in rows} == {
        ("Question 0?", " Yes, 0.", True),
        ("Question 0?", " Yes, 1.", True),
        ("Question 1?", " Yes, 2.", True),
        ("Question 1?", " Yes, 3.", True),
    }


def test_thumbs_are_paired_by_prompt_in_the_order_of_the_rows(labelled: Data) -> None:
    def thumb(prompt: str, response: str, label: Any) -> dict[str, Any]:
        return {"prompt": prompt, "response": response, "label": label}

    questions = [f"Question {number}?" for number in range(40)]
    rows = [thumb(prompt, f"good {prompt}", True) for prompt in questions]
    rows += [thumb(prompt, f"bad {prompt}", False) for prompt in questions]
    rows += [thumb(questions[0], "good again", 1), thumb("Alone?", "bad", 0), thumb("Alone?", "unknown", None)]
    prepared = prepare(rows, changed(labelled, format="thumbs"), seed=0)
    assert all(
        (pair["chosen"], pair["rejected"]) == (f"good {pair['prompt']}", f"bad {pair['prompt']}")
        for pair in given_records(prepared.paired)
    )
    assert (
        given_records(prepared.paired)
        and prepared.counts["dropped.unpaired"] == 2
        and prepared.counts["dropped.label_not_0_or_1"] == 1
    )
    assert sum(prepared.counts.values()) == len(rows)
    assert [fate["row"] for fate in prepared.fates] == list(range(1, len(rows) + 1))
    assert prepared.fates[0]["id"] == prepared.fates[40]["id"] != prepared.fates[1]["id"]


def test_responses_behind_a_letter_are_counted() -> None:
    def pair(prompt: str, chosen: str, rejected: str) -> dict[str, str]:
        return {"prompt": prompt, "chosen": chosen, "rejected": rejected}

    spaced = [pair("Q?", " a", "\nb"), pair("Q? ", "a", "b"), pair("Q?", "", " b")]
    assert not any(map(begins_behind_letter, spaced))
    assert all(map(begins_behind_letter, [pair("Q?", "a", " b"), pair("Q?", " a", "b")]))


def demonstrations(count: int) -> list[dict[str, str]]:
    return [{"prompt": f"Question {number}?", "response": f" Yes, {number}."} for number in range(count)]


@pytest.mark.parametrize(
    ("form", "rows"),
    [("preference_pairs", pairs(400)), ("demonstrations", demonstrations(400)), ("labelled_texts", texts(400))],
)
def test_a_category_goes_to_prompts_and_pairs_and_decides_nothing(
    form: str, rows: list[dict[str, Any]], labelled: Data
) -> None:
    data = changed(labelled, format=form)
    kinds = [{**row, "category": f"kind {number % 3}"} for number, row in enumerate(rows)]
    plain, kind = prepare(rows, data, seed=0), prepare(kinds, data, seed=0)
    assert {row["category"] for split in kind.prompts.values() for row in split} == {"kind 0", "kind 1", "kind 2"}
    for pair in given_records(kind.paired):
        (row,) = pair["origin"]["rows"]
        assert pair["category"] == kinds[row - 1]["category"]
    # ids, splits, order and fates stay as they are
    assert kind.fates == plain.fates and kind.texts == plain.texts and kind.labels == plain.labels
    assert _without_category(given_records(kind.paired)) == _without_category(given_records(plain.paired))
    for split, prompts in plain.prompts.items():
        assert {row["category"] for row in prompts} == {"all"}
        assert _without_category(kind.prompts[split]) == _without_category(prompts)


def _without_category(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "category"} for row in rows]


def test_scores_of_given_pairs_reach_the_contract_where_both_are_numbers(preferences: Data) -> None:
    scores: list[tuple[Any, Any]] = [(1, 2.5), ("3", "x"), (None, 1), (float("nan"), 1)]
    rows = [{**row, "chosen_score": a, "rejected_score": b} for row, (a, b) in zip(pairs(4), scores, strict=True)]
    everything = changed(preferences, splits={**dict.fromkeys(SPLITS, 0.0), "train": 1.0})
    given = given_pairs(prepare(rows, everything, seed=0).paired)
    found = {pair.chosen: (pair.chosen_score, pair.rejected_score, pair.margin) for pair in given}
    assert found[" Yes, 0."] == (1.0, 2.5, None)
    # a split that would be empty borrows a prompt, so not every pair is in train
    assert {one for chosen, one in found.items() if chosen != " Yes, 0."} <= {(None, None, None)}


def test_ties_of_given_preferences_are_counted_and_what_was_seen_is_kept(preferences: Data) -> None:
    verdicts = ["a", "tie", "b", "both", "neither", "perhaps"]
    rows = [
        {"prompt": f"Q{at}", "response_a": "x", "response_b": "y", "winner": said} for at, said in enumerate(verdicts)
    ]
    prepared = prepare(rows, changed(preferences, format="comparisons"), seed=1)
    assert given_ties(prepared.counts) == 3
    assert [fate["seen"] for fate in prepared.fates if "seen" in fate] == [*["tie"] * 3, "'perhaps'"]


@pytest.mark.parametrize(
    ("text", "fate", "seen"),
    [
        ("Hi \ud83d there", "dropped.lone_surrogate", "'Hi \\ud83d there'"),
        ("Hi\0", "dropped.nul_character", "'Hi\\x00'"),
    ],
)
def test_a_text_that_no_file_can_hold_says_why(text: str, fate: str, seen: str, preferences: Data) -> None:
    row = {"prompt": "Q", "chosen": text, "rejected": "x"}
    (found,) = prepare([row], preferences, seed=0).fates
    assert (found["fate"], found["seen"]) == (fate, seen)


def reworded(count: int) -> list[dict[str, str]]:
    """Pairs, each of which asks the same three times: as it is, in capitals without the mark, and more politely."""
    rows = []
    for number in range(count):
        rng = random.Random(number)
        asked = " ".join("".join(rng.choices("abcdefghij", k=6)) for _ in range(12))
        for at, prompt in enumerate((f"{asked}?", asked.upper(), f"Please, {asked}? Thanks")):
            answers = ["".join(rng.choices("klmnopqrs", k=9)) for _ in range(12)]
            rows.append({"prompt": prompt, "chosen": " ".join(answers[:6]), "rejected": f"{' '.join(answers)} {at}"})
    return rows


def test_no_reworded_prompt_of_training_is_measured_on(preferences: Data) -> None:
    rows = reworded(200)
    prepared = prepare(rows, preferences, seed=0)

    def asked(split: str) -> set[str]:
        return {row["prompt"].lower().removeprefix("please, ").partition("?")[0] for row in prepared.prompts[split]}

    assert asked("train") and asked("evaluation")
    trained = asked("train") | {
        row["prompt"].lower().removeprefix("please, ").partition("?")[0] for row in prepared.texts["train"]
    }
    for split in ("validation", "test", "evaluation"):
        assert not asked(split) & trained, split
    assert not asked("evaluation") & (asked("validation") | asked("test"))
    assert sum(prepared.counts.values()) == len(rows)
