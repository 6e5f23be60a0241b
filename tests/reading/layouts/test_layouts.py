"""Each layout is read from its public documentation: which one a source has, and what its rows say."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from pipeline.data.preparation import prepare
from pipeline.data.raw_rows import RawRows
from pipeline.data.shares import fill_shares
from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.fields import FIELDS
from pipeline.reading.formats import as_read, detect_format, select_fields
from pipeline.reading.layouts.layout import Layout
from pipeline.reading.layouts.recognition import fits
from pipeline.reading.layouts.registry import LAYOUTS
from tests.reading.layouts.examples import EXAMPLES
from tests.reading.layouts.reading import preference, read, source
from tests.reading.layouts.texts import HI, say
from tests.tiny_models import changed

UNUSED_SCORES = ("correctness", "coherence", "complexity")


@pytest.fixture
def data(params: Params) -> Data:
    return changed(params.data, format="auto", source="rows.jsonl")


def rows_of(name: str) -> list[dict[str, Any]]:
    return [row for row, _ in EXAMPLES[name]]


def test_every_layout_has_examples_and_a_name_in_params() -> None:
    assert set(EXAMPLES) == set(LAYOUTS)
    assert set(get_args(Data.model_fields["format"].annotation)) == {"auto", *FIELDS, *LAYOUTS}


@pytest.mark.parametrize("name", EXAMPLES)
def test_rows_are_the_preferences_that_the_documentation_says(name: str, data: Data) -> None:
    found, entries = read(rows_of(name), data)
    assert found == name
    expected = [(at, one) for at, (_, one) in enumerate(EXAMPLES[name], start=1) if one is not None]
    flat = [(at, one) for at, many in expected for one in (many if isinstance(many, list) else [many])]
    assert sorted([(max(entry.rows), preference(entry)) for entry in entries], key=str) == sorted(flat, key=str)
    assert {row for entry in entries for row in entry.rows} == set(range(1, len(EXAMPLES[name]) + 1))


@pytest.mark.parametrize("name", EXAMPLES)
def test_rows_are_those_of_no_other_layout(name: str) -> None:
    for row in rows_of(name):
        others = [one.name for one in LAYOUTS.values() if one.may_be(row) and fits(one, row)[0]]
        assert set(others) <= {name}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_layout_can_be_named(name: str, data: Data) -> None:
    assert read(rows_of(name), changed(data, format=name))[0] == name
    with pytest.raises(PipelineError, match=rf"^data\.format is {name}, which needs the columns .* but rows\.jsonl"):
        detect_format(source([{"nothing": 1}]), changed(data, format=name))


def test_the_documentation_has_a_line_for_each() -> None:
    lines = (Path(__file__).parents[3] / "docs" / "data.md").read_text().splitlines()
    for layout in LAYOUTS.values():
        assert f"| `{layout.name}` | {layout.coding} | {layout.origin} |" in lines


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_what_a_layout_is_read_by_are_public_addresses(layout: Layout) -> None:
    for part in layout.origin.split("; "):
        assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+(/[\w.-]+)+(, \S.*)?", part)


def test_answers_that_were_only_rated_for_safety_are_preferred_for_it(data: Data) -> None:
    row = {"prompt": "Hi", "response_0": "bad", "response_1": "good", "safer_response_id": 1}
    found, (entry,) = read([row], data)
    assert found == "pku_saferlhf" and preference(entry) == ("Hi", "good", "bad")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_raw_row_of_a_source_has_a_fate(name: str, data: Data) -> None:
    raw = source(rows_of(name))
    (resolved,) = fill_shares([detect_format(raw, data)], rows=len(rows_of(name)))
    prepared = prepare([RawRows(raw.name, select_fields(raw, resolved), as_read(resolved))], seed=0)
    assert {fate["row"] for fate in prepared.fates} == set(range(1, len(rows_of(name)) + 1))


def test_a_named_column_wins_over_a_layout(data: Data) -> None:
    rows = [{"prompt": "Hi", "response_0": "x", "response_1": "y", "better_response_id": 0, "mine": "first"}]
    columns = {**data.columns.model_dump(), "response_a": "response_0", "response_b": "response_1", "winner": "mine"}
    found, (entry,) = read(rows, changed(data, columns=columns))
    assert found == "comparisons" and preference(entry) == ("Hi", "x", "y")


def test_a_coding_that_contradicts_the_documentation_is_refused(data: Data) -> None:
    rows = [{"prompt": "Hi", "response_0": "x", "response_1": "y", "better_response_id": 1 + at % 2} for at in range(9)]
    with pytest.raises(PipelineError, match=r"columns are those of pku_saferlhf .* 4 not_in_the_coding"):
        detect_format(source(rows), data)


def test_a_row_that_contradicts_its_scores_is_dropped_and_counted(data: Data) -> None:
    good = {"history": "Hi", "human_ref_A": "good", "human_ref_B": "bad", "labels": 1, "score_A": 9, "score_B": 3}
    found, entries = read([*[good] * 10, {**good, "labels": 0}], data)
    assert found == "shp"
    assert [preference(entry) for entry in entries if not entry.record] == ["scores_contradict_label"]
    with pytest.raises(PipelineError, match=r"2 scores_contradict_label"):
        detect_format(source([*[good] * 9, *[{**good, "labels": 0}] * 2]), data)


@pytest.mark.parametrize("column", ["score", "rank", "label", "item", "winner", "chosen"])
def test_a_named_layout_and_a_named_column_contradict_each_other(column: str, data: Data) -> None:
    rows = [{**rows_of("pku_saferlhf")[0], "mine": 1}]
    columns = {**data.columns.model_dump(), column: "mine"}
    with pytest.raises(PipelineError, match=rf"^data\.format is pku_saferlhf, .* has data\.columns\.{column}: mine\."):
        detect_format(source(rows), changed(data, format="pku_saferlhf", columns=columns))


def test_a_named_layout_and_a_coding_contradict_each_other(data: Data) -> None:
    coding = {"first": [0], "second": [1], "tie": None, "skip": None}
    with pytest.raises(PipelineError, match=r"params\.yaml has data\.winner_coding\."):
        detect_format(source(rows_of("pku_saferlhf")), changed(data, format="pku_saferlhf", winner_coding=coding))


def test_a_named_score_wins_over_a_layout(data: Data) -> None:
    columns = {**data.columns.model_dump(), "score": "verbosity"}
    rows = [
        {"prompt": "Hi", "response": text, "helpfulness": good, **dict.fromkeys(UNUSED_SCORES, 0), "verbosity": long}
        for text, good, long in (("brief", 4, 1), ("long", 1, 4))
    ]
    assert preference(read(rows, data)[1][0]) == ("Hi", "brief", "long")
    with pytest.raises(PipelineError, match="verbosity does not say by itself whether more of it is better"):
        read(rows, changed(data, columns=columns))
    for best, preferred in (("highest", ("Hi", "long", "brief")), ("lowest", ("Hi", "brief", "long"))):
        found, (entry,) = read(rows, changed(data, columns=columns, best_score=best))
        assert found == "ratings" and preference(entry) == preferred


@pytest.mark.parametrize("empty", [{"system": ""}, {"history": []}, {"system": None, "history": []}])
def test_pairs_whose_system_is_never_filled_are_plain_pairs(empty: dict[str, Any], data: Data) -> None:
    row = {**empty, "prompt": "Hi", "chosen": "good", "rejected": "bad"}
    found, (entry,) = read([row], data)
    assert found == "preference_pairs" and preference(entry) == ("Hi", "good", "bad")
    filled = {**row, "system": "Be brief.", "prompt": "Why?"}
    found, entries = read([*[row] * 500, filled], data)  # more than are sampled
    assert found == "system_pairs" and "Be brief." in preference(entries[-1])[0]


def test_scores_beside_a_system_text_are_kept(data: Data) -> None:
    row = {"system": "Be brief.", "prompt": "Hi", "chosen": "x", "rejected": "y"}
    _, (entry,) = read([{**row, "chosen_rating": 2, "rejected_rating": 5}], data)
    assert entry.record and (entry.record["chosen_score"], entry.record["rejected_score"]) == (2, 5)


@pytest.mark.parametrize(
    ("form", "row", "expected"),
    [
        (
            "preference_pairs",
            {"prompt": "Hi", "chosen": "good", "chosen_model": "m", "rejected": "bad", "rejected_model": "n", "id": 0},
            ("Hi", "good", "bad"),
        ),
        (
            "preference_pairs",
            {
                "prompt": "Hi",
                "prompt_id": "x",
                "chosen": say("Hi", "good"),
                "rejected": say("Hi", "bad"),
                "messages": say("Hi", "good"),
                "score_chosen": 8.5,
                "score_rejected": 4.0,
            },
            (HI, " good", " bad"),
        ),
        (
            "comparisons",
            {
                "question_id": "q",
                "model_a": "m",
                "model_b": "n",
                "winner": "model_b",
                "judge": "j",
                "conversation_a": say("Hi", "bad"),
                "conversation_b": say("Hi", "good"),
                "turn": 1,
            },
            (HI, " good", " bad"),
        ),
    ],
    ids=["reward_bench", "ultrafeedback_binarized", "chatbot_arena"],
)
def test_sets_that_need_no_layout(form: str, row: dict[str, Any], expected: Any, data: Data) -> None:
    found, (entry,) = read([row], data)
    assert found == form and preference(entry) == expected


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ({"prompt": "Hi", "mine": "x", "yours": "y"}, "left_and_right_unclear"),
        ({"prompt": "Hi", "text1": "x", "text2": "y", "note1": "", "note2": ""}, "left_and_right_unclear"),
        ({"text1": "x", "text2": "y"}, "no_prompt"),
    ],
)
def test_a_task_of_label_studio_whose_sides_are_unclear_is_refused(
    task: dict[str, str], reason: str, data: Data
) -> None:
    result = {"type": "pairwise", "to_name": "txt-1", "value": {"selected": "left"}}
    with pytest.raises(PipelineError, match=rf"columns are those of label_studio_pairwise .*: 1 {reason}"):
        detect_format(source([{"id": 1, "data": task, "annotations": [{"result": [result]}]}]), data)


def test_two_sentences_without_a_prompt_are_refused(data: Data) -> None:
    with pytest.raises(PipelineError, match=r"columns are those of pos_neg .*: 1 no_prompt"):
        detect_format(source([{"pos": "I like it.", "neg": "I hate it."}]), data)
