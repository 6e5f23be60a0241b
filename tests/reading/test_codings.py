"""Winners, labels and ranks: a declared coding gives back the preferences, an open one is refused."""

import random
from typing import Any

import pytest
import yaml
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.formats import detect_format
from pipeline.reading.sources import Source
from tests.reading.comparing import expected, read, sides, written
from tests.tiny_models import changed

FUZZ = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
OPEN = [
    (0, 1, 2), (1, 0, 2), (1, 2, 0), (2, 1, 0), ("0", "1", "2"), ("1", "2", "0"), (0.0, 1.0, 0.5), (1.0, 2.0, 1.5),
    (True, False, "none"), ("True", "False", "none"), (-1, 1, 0), (1, -1, 0), ("left", "right", "center"),
    ("yes", "no", "maybe"), ("+", "-", "0"), ("win", "lose", "-"), ("👍", "👎", "🤷"), (3, 7, 5),
]  # fmt: skip
CLEAR = [
    ("a", "b", "tie"), ("A", "B", "both"), ("model_a", "model_b", "tie (bothbad)"), ("first", "second", "equal"),
    ("Response 1", "Response 2", "neither"), ("[[A]]", "[[B]]", "same"), ("A>B", "B>>A", "A=B"),
    ("Text 1, as it is shorter", "Text 2 (by far)", "draw"),
]  # fmt: skip
MOVED = [("left", "right", "center"), ("yes", "no", "maybe"), ("+", "-", "0"), ("win", "lose", "-"), ("👍", "👎", "🤷")]
MOVED += [(3, 7, 5)]
verdicts = st.lists(st.sampled_from("abt"), min_size=3, max_size=30).filter(lambda found: {"a", "b"} <= set(found))


@pytest.fixture
def data(params: Params) -> Data:
    return changed(
        params.data, format="auto", source="rows.jsonl", columns=dict.fromkeys(params.data.columns.model_dump())
    )


def declared(coding: tuple[Any, ...]) -> dict[str, Any]:
    return {**{name: [value] for name, value in zip(("first", "second", "tie"), coding, strict=True)}, "skip": None}


@FUZZ
@given(found=verdicts, coding=st.sampled_from([*OPEN, *CLEAR]))
def test_a_declared_coding_gives_back_every_preference(found: list[str], coding: Any, data: Data) -> None:
    rows = written(found, coding, ("response_a", "response_b"))
    entries = read(rows, changed(data, winner_coding=declared(coding)))
    assert [sides(entry) for entry in entries] == [expected(at, verdict) for at, verdict in enumerate(found)]


@FUZZ
@given(found=verdicts, coding=st.sampled_from(CLEAR))
def test_clear_words_need_no_declaration(found: list[str], coding: Any, data: Data) -> None:
    entries = read(written(found, coding, ("answer_a", "answer_b")), data)
    assert [sides(entry) for entry in entries] == [expected(at, verdict) for at, verdict in enumerate(found)]


@FUZZ
@given(found=verdicts, coding=st.sampled_from(OPEN))
def test_an_open_coding_is_refused_and_each_of_its_lines_can_be_taken(
    found: list[str], coding: Any, data: Data
) -> None:
    rows = written(found, coding, ("response_a", "response_b"))
    with pytest.raises(PipelineError) as error:
        read(rows, data)
    message = str(error.value)
    assert message.startswith("rows.jsonl: the column winner does not say by itself who won")
    assert "Row 1, for example: {winner: " in message and f"response_a: {rows[0]['response_a']}" in message
    options = ["winner_coding:\n" + part for part in message.split("  winner_coding:\n")[1:]]
    codings = [yaml.safe_load(one)["winner_coding"] for one in options]
    listed = {str(value) for value in coding} & {str(row["winner"]) for row in rows}
    if coding in MOVED:  # words that the user has to put where they belong
        assert all(listed == {str(one) for values in each.values() for one in values} for each in codings)
        return
    readings = [[sides(entry) for entry in read(rows, changed(data, winner_coding=one))] for one in codings]
    assert [expected(at, verdict) for at, verdict in enumerate(found)] in readings, message


def test_values_are_counted_over_the_whole_source(data: Data) -> None:
    found = ["a", "b", "b"] * 1500
    with pytest.raises(PipelineError, match=r"'1' \(3,000 times\), '0' \(1,500 times\)"):
        read(written(found, (0, 1, 2), ("response_a", "response_b")), data)


@pytest.mark.parametrize(
    ("names", "coding"),
    [
        (("output_1", "output_2"), (1, 2)), (("response_0", "response_1"), ("0", "1")),
        (("response_0", "response_1"), ("response_0", "response_1")), (("answer0", "answer1"), ("model_0", "model_1")),
        (("a1", "a2"), ("a1", "a2")), (("left_text", "right_text"), ("left_text", "right_text")),
    ],
)  # fmt: skip
def test_values_that_name_a_column_are_clear(names: tuple[str, str], coding: Any, data: Data) -> None:
    columns = {**data.columns.model_dump(), "response_a": names[0], "response_b": names[1]}
    rows = written(list("abba"), (*coding, "tie"), names)
    entries = read(rows, changed(data, columns=columns))
    assert [sides(entry) for entry in entries] == [expected(at, verdict) for at, verdict in enumerate("abba")]
    # columns in the other order: the values still mean the columns
    swapped = {**columns, "response_a": names[1], "response_b": names[0]}
    assert [sides(entry) for entry in read(rows, changed(data, columns=swapped))] == [sides(one) for one in entries]


@pytest.mark.parametrize("values", [[1, 1], [2, 2], [1, 2, 0]])
def test_numbers_that_name_columns_are_open_where_the_others_do_not(values: list[int], data: Data) -> None:
    rows = [{"prompt": "Q", "output_1": f"x{at}", "output_2": "y", "label": value} for at, value in enumerate(values)]
    with pytest.raises(PipelineError, match=r"(?s)column label .*first: \['1'\]\n    second: \['2'\]"):
        _ = detect_format(Source("rows.jsonl", Dataset.from_list(rows), 1.0), data)


def test_letters_name_the_column_with_that_letter(data: Data) -> None:
    columns = {**data.columns.model_dump(), "response_a": "output_b", "response_b": "output_a"}
    row = {"prompt": "Q", "output_a": "x", "output_b": "y", "winner": "model_a"}
    assert [sides(entry) for entry in read([row], changed(data, columns=columns))] == [("x", "y")]


def test_the_text_of_a_response_is_clear_but_not_where_it_is_a_code(data: Data) -> None:
    row = {"prompt": "Q", "response_a": "Four.", "response_b": "Five."}
    assert [sides(one) for one in read([{**row, "preferred": "Five."}, {**row, "preferred": "Four."}], data)] == [
        ("Five.", "Four."), ("Four.", "Five."),
    ]  # fmt: skip
    for short in (("1", "0", "1"), ("b", "a", "a")):
        with pytest.raises(PipelineError, match="does not say by itself"):
            read([{"prompt": "Q", "response_a": short[0], "response_b": short[1], "winner": short[2]}], data)


def test_what_a_declared_coding_lacks_is_dropped_and_counted(data: Data) -> None:
    rows = written(list("abta"), ("0", "1", "tie"), ("response_a", "response_b"))
    coded = changed(data, winner_coding={"first": [0], "second": [1], "tie": None, "skip": None})
    found = [sides(entry) for entry in read([*rows, {**rows[0], "winner": "a"}], coded)]
    assert found[2] == "undeclared_winner" == found[4] and found[0] == expected(0, "a")


def test_a_few_numbers_among_words_are_dropped_alone(data: Data) -> None:
    rows = written(list("ab" * 30), ("a", "b", "tie"), ("response_a", "response_b"))
    rows[7]["winner"] = "1"
    entries = read(rows, data)
    assert [entry.reason for entry in entries].count("undeclared_winner") == 1 and entries[7].record is None
    rows[8]["winner"] = rows[9]["winner"] = rows[10]["winner"] = rows[11]["winner"] = "0"
    with pytest.raises(PipelineError, match=r"'0' \(4 times\), '1' \(1 times\)"):
        read(rows, data)


@FUZZ
@given(scores=st.lists(st.floats(-3, 3).map(lambda one: round(one, 2)), min_size=2, max_size=20))
def test_scores_with_a_sign_are_read_as_declared(scores: list[float], data: Data) -> None:
    rows = [
        {"prompt": f"Q{at}", "response_a": f"one {at}", "response_b": f"two {at}", "winner": score}
        for at, score in enumerate(scores)
    ]
    coding = {"first": ["< 0"], "second": ["> 0"], "tie": [0], "skip": None}
    entries = read(rows, changed(data, winner_coding=coding))
    wanted = ["a" if score < 0 else "b" if score > 0 else "t" for score in scores]
    assert [sides(entry) for entry in entries] == [expected(at, verdict) for at, verdict in enumerate(wanted)]


@FUZZ
@given(seed=st.integers(0, 10**6), coding=st.sampled_from(OPEN))
def test_votes_of_several_columns_have_the_declared_majority(seed: int, coding: Any, data: Data) -> None:
    draw = random.Random(seed)
    votes = [[draw.choice("abt") for _ in range(3)] for _ in range(8)]
    values = dict(zip("abt", coding, strict=True))
    rows = [
        {"prompt": f"Q{at}", "response_a": f"one {at}", "response_b": f"two {at}"}
        | {f"annotator_{who}": str(values[verdict]) for who, verdict in enumerate(given_votes)}
        for at, given_votes in enumerate(votes)
    ]
    entries = read(rows, changed(data, winner_coding=declared(tuple(map(str, coding)))))
    for at, (entry, given_votes) in enumerate(zip(entries, votes, strict=True)):
        counts = {verdict: given_votes.count(verdict) for verdict in "abt"}
        tied = counts["a"] == counts["b"] or counts["t"] > max(counts["a"], counts["b"])
        assert sides(entry) == ("tie" if tied else expected(at, max("ab", key=counts.__getitem__)))


@pytest.mark.parametrize("labels", [(1, 0), ("1", "0"), ("good", "bad")])
@pytest.mark.parametrize("fields", [("prompt", "response"), ("text",)])
def test_labels_are_refused_by_auto_and_read_as_declared(labels: Any, fields: tuple[str, ...], data: Data) -> None:
    rows = [{**{name: f"{name} {label}" for name in fields}, "prompt": "Q", "label": label} for label in labels]
    if fields == ("text",):
        rows = [{"text": row["text"], "label": row["label"]} for row in rows]
    with pytest.raises(PipelineError, match=r"(?s)column label does not say .* what people want.*label_coding:"):
        read(rows, data)
    for wanted, unwanted in (labels, labels[::-1]):
        entries = read(rows, changed(data, label_coding={"wanted": [wanted], "unwanted": [unwanted]}))
        if fields == ("text",):
            assert {entry.record["text"]: entry.record["label"] for entry in entries if entry.record} == {
                f"text {wanted}": 1, f"text {unwanted}": 0,
            }  # fmt: skip
        else:
            assert [sides(entry) for entry in entries] == [(f"response {wanted}", f"response {unwanted}")]


def test_truth_values_of_thumbs_are_clear(data: Data) -> None:
    rows = [{"prompt": "Q", "response": str(label), "label": label} for label in (True, False)]
    assert [sides(entry) for entry in read(rows, data)] == [("True", "False")]


def test_ranks_are_refused_by_auto_and_read_as_declared(data: Data) -> None:
    rows = [{"prompt": "Q", "response": f"r{rank}", "rank": rank} for rank in (2, 1, 3)]
    with pytest.raises(PipelineError, match=r"(?s)column rank does not say .* 1 is the best.*best_rank: lowest"):
        read(rows, data)
    for best, sides_of in (("lowest", ("r1", "r3")), ("highest", ("r3", "r1"))):
        assert sides(read(rows, changed(data, best_rank=best))[0]) == sides_of


@pytest.mark.parametrize("column", ["toxicity", "eval_loss", "toxicity_score", "grade", "perplexity"])
def test_numbers_of_which_less_may_be_better_are_refused_until_it_is_declared(column: str, data: Data) -> None:
    rows = [{"prompt": "Q", "response": f"r{number}", column: number} for number in (2, 1, 3)]
    named = changed(data, format="ratings", columns={**data.columns.model_dump(), "score": column})
    with pytest.raises(
        PipelineError, match=rf"(?s)column {column} does not say .* more of it is better.*best_score: l"
    ):
        read(rows, named)
    for best, sides_of in (("lowest", ("r1", "r3")), ("highest", ("r3", "r1"))):
        assert sides(read(rows, changed(named, best_score=best))[0]) == sides_of


@pytest.mark.parametrize("inside", [True, False])
def test_scores_of_a_list_and_of_a_pair_follow_the_declared_direction(inside: bool, data: Data) -> None:
    lists = {"responses": [{"text": f"r{number}", "score": number} for number in (2, 1, 3)]}
    if not inside:
        lists = {"responses": ["r2", "r1", "r3"], "scores": [2, 1, 3]}
    for best, sides_of in (("lowest", ("r1", "r3")), ("highest", ("r3", "r1"))):
        assert sides(read([{"prompt": "Q", **lists}], changed(data, best_score=best))[0]) == sides_of
    pair = {"prompt": "Q", "chosen": "x", "rejected": "y", "chosen_score": 1, "rejected_score": 3}
    (entry,) = read([pair], changed(data, best_score="lowest"))
    assert entry.record and entry.record["chosen_score"] > entry.record["rejected_score"]
    scored = {"prompt": "Q", "response_a": "x", "response_b": "y", "winner": "a", "score_a": 1, "score_b": 3}
    (entry,) = read([scored], changed(data, best_score="lowest"))
    assert entry.record and entry.record["chosen_score"] > entry.record["rejected_score"]


def test_one_value_has_one_meaning(data: Data) -> None:
    with pytest.raises(ValueError, match="'1' is in first and in second; a value has one meaning"):
        changed(data, winner_coding={"first": [1], "second": ["1.0"], "tie": None, "skip": None})
