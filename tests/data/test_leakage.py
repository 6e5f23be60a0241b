"""Which held-out rows repeat what is learnt from, and which only look like it."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.data.leakage import LEAKED
from pipeline.data.preparation import PreparedData, prepare
from pipeline.data.prepared_checks import warn_of_lost_categories
from pipeline.data.raw_rows import RawRows
from pipeline.data.records import fold
from pipeline.data.splits import unit_hash
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.chats import Message, render_prompt
from tests.tiny_models import changed

NAMES = ("judge", "sft", "train", "validation", "test", "evaluation")
QUESTION = "How do I repair the old wooden door of my garden shed before winter"
REFUSAL = " I am sorry, but I can not help with that."
SYSTEM = " ".join(f"rule{number} says be kind and brief in all you write" for number in range(20))


@pytest.fixture
def data(params: Params) -> Data:
    splits = {**dict.fromkeys(NAMES, 0.0), "train": 0.5, "validation": 0.1, "test": 0.1, "evaluation": 0.3}
    return changed(params.data, format="preference_pairs", splits=splits, limits=dict.fromkeys(NAMES, 0))


def pair(prompt: str, chosen: str = " Yes.", rejected: str = " No.") -> dict[str, str]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def noise(seed: int, words: int) -> str:
    rng = random.Random(seed)
    return " ".join("".join(rng.choices("abcdefghijklmnop", k=6)) for _ in range(words))


def others(count: int = 60) -> list[dict[str, str]]:
    """Prompts that have nothing in common, so that no split is empty."""
    return [pair(noise(number, 9)) for number in range(count)]


def seeded(trained: Sequence[str], held: str) -> int:
    """A seed by which some prompts are trained on, and one is evaluated on."""
    return next(
        seed
        for seed in range(10_000)
        if unit_hash(seed, fold(held)) > 0.75 and all(unit_hash(seed, fold(prompt)) < 0.45 for prompt in trained)
    )


def prepared(trained: Sequence[dict[str, str]], held: dict[str, str], data: Data) -> PreparedData:
    seed = seeded([row["prompt"] for row in trained], held["prompt"])
    return prepare([RawRows("rows", [held, *trained, *others()], data)], seed=seed)


def fate(trained: Sequence[dict[str, str]], held: dict[str, str], data: Data) -> dict[str, Any]:
    return prepared(trained, held, data).fates[0]


def chat(*turns: str, system: str = "") -> str:
    said = [Message("user" if at % 2 == 0 else "assistant", text) for at, text in enumerate(turns)]
    return render_prompt([*([Message("system", system)] if system else []), *said])


@pytest.mark.parametrize(
    ("trained", "held"),
    [
        (pair(QUESTION + "?"), pair(QUESTION.upper() + " !!")),
        (pair(QUESTION + "?"), pair(QUESTION.replace("old ", "") + ", please?")),
        (pair(QUESTION), pair(QUESTION.replace("wooden", "broken"))),
        (pair("Hi!"), pair("hi")),
        (pair("Q?", f" {noise(1, 50)} {QUESTION} {noise(2, 50)}"), pair(QUESTION)),
        (pair("Q?", " Yes", f" {noise(1, 50)} {QUESTION}"), pair(QUESTION)),
        (pair(chat(QUESTION, "With a saw.", "Which one?")), pair(chat(QUESTION))),
        (pair(chat(QUESTION), f" {noise(3, 40)}"), pair(chat(QUESTION, noise(3, 40), "And now?"))),
        (pair(chat(QUESTION, system=SYSTEM)), pair(chat(QUESTION + " sets in", system=noise(4, 60)))),
        (pair("Q?", f" {noise(5, 40)}"), pair("R?", f" {noise(5, 40)}")),
        (
            pair("\u8bf7\u5199\u4e00\u9996\u5173\u4e8e\u79cb\u5929\u96e8\u591c\u7684\u8bd7"),
            pair("\u8bf7\u5199\u4e00\u9996\u5173\u4e8e\u79cb\u5929\u96e8\u591c\u7684\u77ed\u8bd7"),
        ),
    ],
    ids=[
        *("case and marks", "a word less, one more", "another word", "a greeting", "in a response"),
        *("in a rejected response", "its beginning", "its continuation", "another system message"),
        *("its response", "Chinese"),
    ],
)
def test_what_repeats_training_is_not_measured_on(trained: dict[str, str], held: dict[str, str], data: Data) -> None:
    found = fate([trained], held, data)
    assert found["fate"] == LEAKED and found["id"]
    assert "of record " in found["seen"] or " in record " in found["seen"] or "of that of record" in found["seen"]
    assert fate([trained], held, changed(data, leakage={"threshold": None}))["fate"] == "used.evaluation"


@pytest.mark.parametrize(
    ("trained", "held"),
    [
        (pair("What is the capital of France?"), pair("What is the capital of Spain?")),
        (pair("Hi"), pair("Hi there")),
        (pair(QUESTION), pair("How do I bake the white bread of my old aunt before supper")),
        (pair("Q?", REFUSAL), pair("R?", REFUSAL)),
        (pair(chat("Tell me more.", system=noise(6, 40))), pair(chat("Tell me more.", system=noise(7, 40)))),
        # phrases of a long text, all over it
        (pair("Q?", f" how do i repair x {noise(8, 9)} the old wooden y door of my {noise(9, 9)}"), pair(QUESTION)),
    ],
    ids=["another country", "a longer greeting", "the same frame", "a refusal", "another system message", "phrases"],
)
def test_what_only_looks_like_it_stays(trained: dict[str, str], held: dict[str, str], data: Data) -> None:
    assert fate([trained], held, data)["fate"] == "used.evaluation"


@pytest.mark.parametrize("written", ["system message", "preface"])
def test_what_all_prompts_share_says_nothing(written: str, data: Data) -> None:
    def asked(text: str) -> str:
        return chat(text, system=SYSTEM) if written == "system message" else f"{SYSTEM} ### {text} ### Answer below:"

    rows = [pair(asked(noise(number, 12))) for number in range(200)]
    repeated = pair(asked(f"{noise(0, 12)} now"))
    everything = prepare([RawRows("rows", [*rows, repeated], data)], seed=0)
    leaked = {found["row"] for found in everything.fates if found["fate"] == LEAKED}
    assert leaked <= {1, 201}, "at most the one row that does repeat another"
    assert fate(rows[:1], repeated, data)["fate"] == LEAKED


def by_split(found: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(each["fate"] for each in found)


def test_tasks_that_are_a_small_part_of_all_prompts_stay_in_the_held_out_splits(data: Data) -> None:
    tasks = [noise(1000 + task, 45) for task in range(8)]
    asked = [pair(f"{tasks[at % 8]} {noise(at, 12)}") for at in range(320)]
    free = [pair(noise(10_000 + at, 30)) for at in range(320)]
    found = prepare([RawRows("rows", [*asked, *free], data)], seed=0).fates[: len(asked)]
    assert by_split(found)[LEAKED] == 0 and by_split(found)["used.evaluation"] > 60


def test_prompts_that_differ_by_one_word_of_a_template_stay(data: Data) -> None:
    templates = [noise(2000 + at, 10).split() for at in range(12)]
    asked = [
        pair(" ".join([*words[:6], noise(60 * at + number, 1), *words[6:]]))
        for at, words in enumerate(templates)
        for number in range(60)
    ]
    found = by_split(prepare([RawRows("rows", asked, data)], seed=0).fates)
    assert found[LEAKED] == 0 and found["used.validation"] and found["used.test"] and found["used.evaluation"]


def test_what_repeats_a_row_of_its_own_task_is_still_found(data: Data) -> None:
    task = noise(1000, 45)
    asked = [f"{task} {noise(500 + at, 12)}" for at in range(60)]
    repeated = pair(f"{asked[0]} now")
    seed = seeded(asked[:1], repeated["prompt"])
    rows = [repeated, *map(pair, asked), *others(320)]
    found = prepare([RawRows("rows", rows, data)], seed=seed).fates
    assert found[0]["fate"] == LEAKED and by_split(found)[LEAKED] == 1


def test_a_held_out_row_is_held_against_the_held_out_splits_before_it(data: Data) -> None:
    first, second = pair(QUESTION), pair(QUESTION + " comes")
    seed = next(
        seed
        for seed in range(10_000)
        if 0.61 < unit_hash(seed, fold(first["prompt"])) < 0.69 and unit_hash(seed, fold(second["prompt"])) > 0.75
    )
    found = prepare([RawRows("rows", [first, second, *others()], data)], seed=seed).fates
    assert [one["fate"] for one in found[:2]] == ["used.test", LEAKED]
    assert found[1]["seen"].endswith(f"record {found[0]['id']} of test")


def test_rows_that_are_learnt_from_are_never_dropped_and_the_next_row_fills_a_limit(data: Data) -> None:
    trained, held = pair(QUESTION), pair(QUESTION + " comes")
    limited = changed(data, limits={**dict.fromkeys(NAMES, 0), "evaluation": 3})
    result = prepared([trained], held, limited)
    assert result.fates[1]["fate"] == "used.train" and result.fates[0]["fate"] == LEAKED
    assert len(result.prompts["evaluation"]) == len(result.texts["evaluation"]) == 3
    assert sum(result.counts.values()) == len(result.fates) and result.counts[LEAKED] == 1


def test_a_row_that_no_split_uses_is_nothing_that_was_learnt_from(data: Data) -> None:
    trained, held = pair(QUESTION), pair(QUESTION + " comes")
    seed = seeded([trained["prompt"]], held["prompt"])
    seed = next(
        seed
        for seed in range(100_000)
        if unit_hash(seed, fold(held["prompt"])) > 0.75 and 0.4 < unit_hash(seed, fold(trained["prompt"])) < 0.45
    )
    limited = changed(data, limits={**dict.fromkeys(NAMES, 0), "train": 2})
    found = prepare([RawRows("rows", [held, trained, *others()], limited)], seed=seed).fates
    assert [one["fate"] for one in found[:2]] == ["used.evaluation", "unused.train"]


def test_a_review_that_was_posted_twice_is_found_by_its_text(params: Params) -> None:
    splits = {**dict.fromkeys(NAMES, 0.0), "judge": 0.5, "train": 0.2, "evaluation": 0.3}
    labelled = changed(params.data, splits=splits, limits=dict.fromkeys(NAMES, 0))
    body = noise(11, 60)
    first, second = f"{noise(12, 6)} {body}", f"{noise(13, 6)} {body} {noise(14, 5)}"
    starts = [" ".join(text.split()[:6]) for text in (first, second)]
    rows = [{"text": text, "label": 1} for text in (second, first, *(noise(100 + at, 40) for at in range(40)))]
    found = prepare([RawRows("rows", rows, labelled)], seed=seeded(starts[:1], starts[1])).fates
    assert [one["fate"] for one in found[:2]] == [LEAKED, "used.judge"]


def test_a_category_that_lost_all_of_its_held_out_rows_is_named(data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    doors = [{**pair(f"{QUESTION} {noise(at, 1)}"), "category": "doors"} for at in range(12)]
    rows = [*doors, *({**row, "category": "free"} for row in others())]
    found = prepare([RawRows("rows", rows, data)], seed=0)
    assert found.counts[LEAKED] and found.lost_categories == ["doors"]
    warn_of_lost_categories(found.lost_categories)
    said = capsys.readouterr().out
    assert "is left of doors (data.columns.category)" in said and "data.leakage.threshold" in said

    kept = prepare([RawRows("rows", rows, changed(data, leakage={"threshold": None}))], seed=0)
    assert kept.lost_categories == []
    warn_of_lost_categories(kept.lost_categories)
    assert not capsys.readouterr().out


def reposted(params: Params) -> tuple[list[dict[str, Any]], Data]:
    """Reviews, each of which comes again behind other first words."""
    splits = {**dict.fromkeys(NAMES, 0.0), "judge": 0.9, "train": 0.05, "evaluation": 0.05}
    data = changed(params.data, splits=splits, limits=dict.fromkeys(NAMES, 0))
    texts = [f"{noise(4000 + 2 * at + again, 6)} {noise(at, 60)}" for at in range(60) for again in (0, 1)]
    new = [noise(6000 + at, 66) for at in range(60)]
    return [{"text": text, "label": at // 2 % 2} for at, text in enumerate([*texts, *new])], data


def test_the_judge_is_not_measured_on_what_it_was_fitted_on(params: Params) -> None:
    rows, data = reposted(params)
    found = prepare([RawRows("rows", rows, data)], seed=0)
    body = {name: {" ".join(row["text"].split()[6:]) for row in of} for name, of in found.labels.items()}
    assert body["test"] and not body["train"] & body["test"]
    left = prepare([RawRows("rows", rows, changed(data, leakage={"threshold": None}))], seed=0)
    assert list(found.labels["train"]) == list(left.labels["train"]), "what it is fitted on stays"
    kept = {row["id"] for row in found.labels["test"]}
    gone = [one for one in found.fates if one["id"] in {row["id"] for row in left.labels["test"]} - kept]
    assert gone and {one["fate"] for one in gone} == {LEAKED}
    assert all(one["seen"].endswith(" of judge") for one in gone)
    assert found.counts["used.judge"] == sum(map(len, found.labels.values()))
    assert sum(found.counts.values()) == len(rows)


def test_a_limit_of_the_judge_counts_what_it_was_to_be_measured_on(params: Params) -> None:
    rows, data = reposted(params)
    limited = changed(data, limits={**dict.fromkeys(NAMES, 0), "judge": 100})
    counts = prepare([RawRows("rows", rows, limited)], seed=0).counts
    without = prepare([RawRows("rows", rows, changed(limited, leakage={"threshold": None}))], seed=0).counts
    assert without["used.judge"] == 100 and counts["unused.judge"] == without["unused.judge"] > 0
    assert 90 < counts["used.judge"] < 100
