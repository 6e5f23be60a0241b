"""Every raw row is used, unused or dropped; a prompt is on one side only; new rows move no old one."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.data.leakage import LEAKED
from pipeline.data.preparation import prepare as prepare_sources
from pipeline.data.raw_rows import RawRows
from pipeline.data.records import record_id
from pipeline.params.data import Data
from pipeline.preferences.given import given_records
from tests.data.prepared import NO_LIMITS, SPLITS, prepare, prompts_of, split_of_each_id, texts
from tests.tiny_models import changed


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
