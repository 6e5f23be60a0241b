"""The format of a source is found by its columns, its first row and the last column of a table without names."""

from typing import Any

import pytest
from datasets import Dataset

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.fields import FILE_NAME
from pipeline.reading.formats import describe_format, detect_format, prompts_by_file, select_fields
from pipeline.reading.sources import Source
from tests.tiny_models import changed

PAIR = ["prompt", "response_a", "response_b", "winner"]


@pytest.fixture
def data(params: Params) -> Data:
    declared = {"label_coding": {"wanted": ["a"], "unwanted": ["b"]}, "best_rank": "lowest"}
    return changed(params.data, format="auto", source="rows.jsonl", **declared)


CLEAR = {"winner": "a", "label": "a", "Answer.utterance": "Text 2: better", "preference": ["a"], "rank": "1"}


def source(*names: str, name: str = "rows.jsonl", unnamed: bool = False, rows: Any = None) -> Source:
    row = {one: CLEAR.get(one, "a" if one.startswith("annotator_") else "x") for one in names}
    return Source(name, Dataset.from_list(rows or [row]), 1.0, unnamed)


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (["prompt", "chosen", "rejected"], "preference_pairs"),
        (PAIR, "comparisons"),
        (["a1", "a2", "label", "#id"], "comparisons"),
        (["Input.Prefix", "Input.First", "Input.Second", "Answer.utterance", "WorkerId"], "comparisons"),
        (["question", "prediction 1", "prediction 2", "prediction 3", "preference"], "round_robin"),
        (["g1_user_prompt", "g1_winner", "g2_winner", "model_1"], "judgements"),
        (["prompt", "responses", "scores"], "scored_responses"),
        (["prompt", "response", "helpfulness"], "ratings"),
        (["argument", "rank"], "rankings"),
        (["messages", "label"], "thumbs"),
        (["text", "label"], "labelled_texts"),
        (["instruction", "input", "output"], "demonstrations"),
        (["conversations"], "demonstrations"),
        (["text"], "texts"),
        (["prompt"], "prompts"),
    ],
)
def test_every_format_is_found_by_its_columns(names: list[str], form: str, data: Data) -> None:
    assert detect_format(source(*names), data).format == form


def test_a_tree_is_found_by_its_replies(data: Data) -> None:
    row = {"prompt": {"text": "Why?", "role": "prompter", "replies": []}}
    assert detect_format(source(rows=[row]), data).format == "trees"


def test_a_column_that_says_who_voted_is_no_vote(data: Data) -> None:
    found = detect_format(source(*PAIR, "annotator"), data).columns
    assert found.winner == ["winner"] and found.annotator == "annotator"
    votes = detect_format(source(*PAIR, "annotator_1", "annotator_2"), data).columns
    assert votes.winner == ["annotator_1", "annotator_2"] and votes.annotator is None


def test_a_forced_format_names_the_column_that_is_missing(data: Data) -> None:
    forced = changed(data, format="labelled_texts")
    with pytest.raises(PipelineError, match=r"^data\.columns\.text is 'text', but rows\.jsonl has .* review, label\."):
        detect_format(source("review", "label"), forced)
    with pytest.raises(PipelineError, match=r"data\.columns\.winner is null and .* \(winner, preference, .*label"):
        detect_format(source("prompt", "response_a", "response_b", "score"), changed(data, format="comparisons"))
    with pytest.raises(PipelineError, match=r"fit no format .*chosen, rejected"):
        detect_format(source("gold", "silver"), data)


def test_labelled_texts_come_after_pairs(data: Data) -> None:
    assert detect_format(source("text", "label", "chosen", "rejected"), data).format == "preference_pairs"
    resolved = detect_format(source("text", "label", "user"), data)
    assert resolved.format == "labelled_texts" and resolved.columns.prompt is None


def test_columns_may_change_places(data: Data) -> None:
    # a data set whose chosen and rejected columns are named the other way round
    columns = {**data.columns.model_dump(), "chosen": "rejected", "rejected": "chosen"}
    raw = source(rows=[{"prompt": "Q?", "chosen": " worse", "rejected": " better"}])
    (row,) = select_fields(raw, detect_format(raw, changed(data, columns=columns)))
    assert row == {"prompt": "Q?", "chosen": " better", "rejected": " worse", "category": "all"}


def test_two_fields_may_not_share_a_column(data: Data) -> None:
    columns = {**data.columns.model_dump(), "rejected": "chosen"}
    with pytest.raises(PipelineError, match="two share one"):
        detect_format(source("prompt", "chosen"), changed(data, format="preference_pairs", columns=columns))


def test_a_table_without_names_is_known_by_its_last_column(data: Data) -> None:
    def table(*cells: str) -> dict[str, str]:
        return {f"column_{number}": cell for number, cell in enumerate(cells, start=1)}

    raw = source(unnamed=True, rows=[table("Why?", "nan", "x", "y", "(a)"), table("Who?", "now", "x", "y", "equal")])
    found = detect_format(raw, data)
    assert describe_format(found) == (
        "comparisons: prompt = column_1, context = column_2, response_a = column_3, response_b = column_4, "
        "winner = column_5"
    )
    rated = source(unnamed=True, rows=[table("Why?", "x", "6")])
    with pytest.raises(PipelineError, match="column_3 does not say by itself whether more of it is better"):
        detect_format(rated, data)
    by_name = source(unnamed=True, rows=[table("Why?", "x", "6")], name="data/raw/our_ratings.csv")
    for one, settings in ((rated, changed(data, best_score="lowest")), (by_name, data)):
        assert (
            describe_format(detect_format(one, settings))
            == "ratings: prompt = column_1, response = column_2, score = column_3"
        )
    with pytest.raises(PipelineError, match="Name the columns in"):
        detect_format(source(unnamed=True, rows=[table("Why?", "x", "y")]), data)


def test_the_name_of_a_file_is_the_prompt_where_every_file_has_its_own(data: Data) -> None:
    files = [source("a1", "a2", "label", name=f"data/raw/{name}.csv") for name in ("is-tea-good_yes", "is-rain-wet")]
    found = prompts_by_file(files, [detect_format(file, data) for file in files])
    assert [one.columns.prompt for one in found] == [FILE_NAME, FILE_NAME]
    assert [row["prompt"] for file, one in zip(files, found, strict=True) for row in select_fields(file, one)] == [
        "is tea good yes",
        "is rain wet",
    ]
    parts = [source("a1", "a2", "label", name=f"data/raw/part-{number}.csv") for number in (1, 2)]
    for some in (files[:1], parts):
        with pytest.raises(PipelineError, match=r"Name it in data\.columns\.prompt; file_name takes"):
            prompts_by_file(some, [detect_format(file, data) for file in some])


def test_a_chat_needs_no_prompt(data: Data) -> None:
    chat = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    raw = source(rows=[{"messages": chat}])
    resolved = [detect_format(raw, data)]
    assert prompts_by_file([raw], resolved) == resolved
