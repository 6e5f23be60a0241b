"""Every raw row is used, unused or dropped; a prompt is on one side only; new rows move no old one."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.data.leakage import LEAKED
from pipeline.data.preparation import PreparedData
from pipeline.data.preparation import prepare as prepare_sources
from pipeline.data.raw_rows import RawRows
from pipeline.data.record_store import begins_behind_letter
from pipeline.data.records import fold, record_id
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.preferences.given import given_pairs, given_records
from pipeline.preferences.given_table import given_ties
from tests.tiny_models import changed

NO_LIMITS = dict.fromkeys(("judge", "sft", "train", "validation", "test", "evaluation"), 0)
SPLITS = {"judge": 0.3, "sft": 0.2, "train": 0.2, "validation": 0.1, "test": 0.1, "evaluation": 0.1}


def texts(count: int, *, start: int = 0, words: int = 14) -> list[dict[str, Any]]:
    """Labelled texts, each with a prompt of its own."""
    rows = []
    for number in range(start, start + count):
        rng = random.Random(number)
        body = " ".join(rng.choice(["film", "plot", "good", "bad", "scene"]) for _ in range(words - 2))
        rows.append({"text": f"Review {number} {body}", "label": number % 2})
    return rows


def pairs(count: int) -> list[dict[str, str]]:
    return [
        {"prompt": f"Question {number // 2}?", "chosen": f" Yes, {number}.", "rejected": f" No, {number}."}
        for number in range(count)
    ]


def prepare(rows: Iterable[dict[str, Any]], data: Data, *, seed: int) -> PreparedData:
    """Of one source."""
    return prepare_sources([RawRows("rows", rows, data)], seed=seed)


@pytest.fixture
def labelled(params: Params) -> Data:
    return changed(
        params.data,
        format="labelled_texts",
        prompt_words=3,
        response_words=5,
        min_words=6,
        splits=SPLITS,
        limits=NO_LIMITS,
    )


@pytest.fixture
def preferences(labelled: Data) -> Data:
    return changed(labelled, format="preference_pairs")


def prompts_of(prepared: PreparedData) -> dict[str, set[str]]:
    """Folded prompts of every use; judge texts begin with theirs."""
    uses = {f"prompts.{split}": rows for split, rows in prepared.prompts.items()}
    uses |= {f"texts.{split}": rows for split, rows in prepared.texts.items()}
    found = {name: {fold(row["prompt"]) for row in rows} for name, rows in uses.items()}
    labels = [row for rows in prepared.labels.values() for row in rows]
    return found | {"judge": {fold(" ".join(row["text"].split()[:3])) for row in labels}}


def split_of_each_id(prepared: PreparedData) -> dict[str, str]:
    uses = {f"labels.{split}": rows for split, rows in prepared.labels.items()}
    uses |= {f"texts.{split}": rows for split, rows in prepared.texts.items()}
    uses |= {f"prompts.{split}": rows for split, rows in prepared.prompts.items()}
    return {row["id"]: name for name, rows in uses.items() for row in rows}


def dirty_texts() -> list[dict[str, Any]]:
    good = texts(200)
    return [
        *good,
        good[3],  # duplicate
        {"text": "", "label": 0},
        {"text": "  \n", "label": 1},
        {"text": None, "label": 1},
        {"text": "Review of another label entirely here", "label": 2},
        {"text": "Review without any label at all here", "label": None},
        {"text": "Review whose label is true, not one", "label": True},
        {"text": "Review whose label is a word here", "label": "good"},
        *({"text": f"Short {number}", "label": 0} for number in range(20)),
        *({"text": good[i]["text"] + " and more", "label": 0} for i in range(20)),  # the prompts of others
    ]


def test_raw_rows_are_used_unused_or_dropped(labelled: Data) -> None:
    rows = dirty_texts()
    limited = changed(labelled, limits={**NO_LIMITS, "judge": 10, "sft": 5, "test": 1})
    for data in (labelled, limited):
        prepared = prepare(rows, data, seed=0)
        assert sum(prepared.counts.values()) == len(rows)
        assert {name.split(".")[0] for name in prepared.counts} <= {"used", "unused", "dropped"}
    assert prepared.counts["used.judge"] == 10 == sum(map(len, prepared.labels.values()))
    assert prepared.counts["used.sft"] == 5 == len(prepared.texts["train"])
    assert prepared.counts["used.test"] == 1 == len(prepared.prompts["test"])
    assert prepared.counts["unused.judge"] > 0 and prepared.counts["unused.train"] == 0


def test_dropped_rows_have_their_reason(labelled: Data) -> None:
    counts = prepare(dirty_texts(), labelled, seed=0).counts
    assert counts["dropped.empty_text"] == 3
    assert counts["dropped.label_not_0_or_1"] == 4
    assert counts["dropped.duplicate"] == 1
    assert 0 < counts["dropped.too_few_words"] <= 20
    assert 0 < counts["dropped.repeated_prompt"] <= 20


def test_no_prompt_is_on_two_sides(labelled: Data) -> None:
    rows = dirty_texts() + [{"text": row["text"].upper() + " again", "label": 0} for row in texts(50)]
    prompts = prompts_of(prepare(rows, labelled, seed=0))
    for split in ("validation", "evaluation"):
        assert prompts.pop(f"texts.{split}") == prompts[f"prompts.{split}"], "the same records"
    names = sorted(prompts)
    for i, one in enumerate(names):
        assert prompts[one], one
        for other in names[i + 1 :]:
            assert not prompts[one] & prompts[other], (one, other)


def test_new_rows_move_no_other_row(labelled: Data) -> None:
    before = split_of_each_id(prepare(texts(150), labelled, seed=0))
    mixed = texts(150) + texts(300, start=1000)
    random.Random(1).shuffle(mixed)
    prepared = prepare(mixed, labelled, seed=0)
    after = split_of_each_id(prepared)
    # all that may happen to an old row is that a new one of training repeats it
    leaked = {fate["id"] for fate in prepared.fates if fate["fate"] == LEAKED}
    assert before.keys() - after.keys() == before.keys() & leaked
    assert {key: after[key] for key in before.keys() - leaked} == {key: before[key] for key in before.keys() - leaked}
    compared = changed(labelled, leakage={"threshold": None})
    before, after = (split_of_each_id(prepare(rows, compared, seed=0)) for rows in (texts(150), mixed))
    assert {key: after[key] for key in before} == before


def test_the_order_of_the_rows_changes_nothing(labelled: Data) -> None:
    rows = texts(200)
    limited = changed(labelled, limits={**NO_LIMITS, "judge": 10, "sft": 5})
    shuffled = random.Random(2).sample(rows, len(rows))
    first, second = prepare(rows, limited, seed=0), prepare(shuffled, limited, seed=0)
    fates = [sorted((fate["id"], fate["fate"]) for fate in prepared.fates) for prepared in (first, second)]
    assert fates[0] == fates[1]
    assert replace(first, fates=[]) == replace(second, fates=[])


def test_the_seed_decides_the_splits(labelled: Data) -> None:
    first, second = (split_of_each_id(prepare(texts(200), labelled, seed=seed)) for seed in (0, 1))
    assert first != second


def test_splits_have_about_their_shares(labelled: Data) -> None:
    counts = prepare(texts(2000), labelled, seed=0).counts
    for split, share in SPLITS.items():
        assert counts[f"used.{split}"] == pytest.approx(2000 * share, abs=4 * (2000 * share * (1 - share)) ** 0.5)


def test_about_a_tenth_of_the_judges_labels_is_held_out(labelled: Data) -> None:
    labels = prepare(texts(2000), labelled, seed=0).labels
    assert 0.05 < len(labels["test"]) / sum(map(len, labels.values())) < 0.15
    assert set(labels["train"][0]) == {"id", "text", "label"}


def test_a_text_is_cut_into_prompt_and_response(labelled: Data) -> None:
    data = changed(labelled, splits={**dict.fromkeys(SPLITS, 0.0), "sft": 1.0})
    rows: Iterable[dict[str, Any]] = [
        {"text": "one two<br /><br>three  four five six\nseven", "label": 1},
        {"text": "a b c d e f g h i j", "label": 0},
    ]
    found = {row["prompt"]: row for row in prepare(rows, data, seed=0).texts["train"]}
    assert found["one two three"]["response"] == " four five six seven"
    assert found["one two three"]["ended"] is True
    assert found["a b c"]["response"] == " d e f g h"
    assert found["a b c"]["ended"] is False


def test_short_texts_serve_the_judge(labelled: Data) -> None:
    data = changed(labelled, splits={**dict.fromkeys(SPLITS, 0.0), "judge": 1.0})
    prepared = prepare([{"text": "Dull", "label": 0}, {"text": "A fine film", "label": 1}], data, seed=0)
    assert prepared.counts == {"used.judge": 2, "unused.judge": 0} | {
        f"{kind}.{split}": 0 for kind in ("used", "unused") for split in SPLITS if split != "judge"
    }


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


def test_rows_are_not_changed(labelled: Data) -> None:
    rows = texts(5)
    copies = [dict(row) for row in rows]
    prepare(rows, labelled, seed=0)
    assert rows == copies


def test_the_fate_of_every_raw_row_is_written(labelled: Data) -> None:
    rows = dirty_texts()
    prepared = prepare(rows, labelled, seed=0)
    assert [fate["row"] for fate in prepared.fates] == list(range(1, len(rows) + 1))
    assert Counter(fate["fate"] for fate in prepared.fates) == +prepared.counts
    trained = {record["id"] for record in prepared.texts["train"]}
    assert trained == {fate["id"] for fate in prepared.fates if fate["fate"] == "used.sft"}
    for fate, row in zip(prepared.fates, rows, strict=True):
        unreadable = fate["fate"] in ("dropped.empty_text", "dropped.label_not_0_or_1")
        assert fate["id"] == (None if unreadable else record_id(row["text"])) and fate["source"] == "rows"


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


def test_every_source_is_counted_and_keeps_its_share(labelled: Data) -> None:
    rows = texts(600)
    half = [
        RawRows("a", rows[:400], labelled, 0.5),
        RawRows("b", [*rows[400:], rows[400], {"text": "", "label": 1}], labelled),
    ]
    prepared = prepare_sources(half, seed=0)
    assert {name: sum(counts.values()) for name, counts in prepared.rows_of.items()} == {"a": 400, "b": 202}
    beyond = prepared.rows_of["a"]["unused.beyond_share"]
    assert beyond == prepared.counts["unused.beyond_share"] and 150 < beyond < 250
    assert prepared.rows_of["b"]["dropped.duplicate"] == prepared.rows_of["b"]["dropped.empty_text"] == 1
    assert [(fate["source"], fate["row"]) for fate in prepared.fates] == [
        *(("a", row) for row in range(1, 401)),
        *(("b", row) for row in range(1, 203)),
    ]
    # a larger share keeps what a smaller one kept
    more = prepare_sources([RawRows("a", rows[:400], labelled, 0.7)], seed=0)
    kept = {fate["row"] for fate in prepared.fates if fate["source"] == "a" and fate["fate"] != "unused.beyond_share"}
    assert kept < {fate["row"] for fate in more.fates if fate["fate"] != "unused.beyond_share"}


def test_prompts_and_demonstrations_serve_where_they_can(labelled: Data) -> None:
    prompts = [{"prompt": f"Question {number}?"} for number in range(300)]
    shown = [{**row, "response": " So."} for row in prompts]
    only = prepare(prompts, changed(labelled, format="prompts"), seed=0)
    assert only.counts["unused.without_label"] and only.counts["unused.without_response"]
    assert not given_records(only.paired) and not only.texts["train"] and not only.labels["train"]
    assert len(only.prompts["train"]) == only.counts["used.train"] > 0
    demonstrated = prepare(shown, changed(labelled, format="demonstrations"), seed=0)
    assert len(demonstrated.texts["train"]) == demonstrated.counts["used.sft"] > 0
    assert demonstrated.texts["evaluation"] and not demonstrated.counts["unused.without_response"]
    # the same prompt is in the same split, whatever the source knows of it
    assert {row["prompt"] for row in demonstrated.prompts["test"]} == {row["prompt"] for row in only.prompts["test"]}


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
