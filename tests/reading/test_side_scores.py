"""Two responses without a winner: lists of votes, and a number of each response, whose direction is never guessed."""

import json
from typing import Any

import pytest
from datasets import Dataset

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.entries import read_entries
from pipeline.reading.entry import Entry
from pipeline.reading.formats import as_read, detect_format, select_fields
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style
from tests.reading.advice import copied, options
from tests.tiny_models import changed

SIDES = ("response_a", "response_b")


@pytest.fixture
def data(params: Params) -> Data:
    columns = dict.fromkeys(params.data.columns.model_dump())
    return changed(params.data, format="auto", source="rows.jsonl", columns=columns)


def rows_of(sides: tuple[str, str] = SIDES, **columns: list[Any]) -> Source:
    count = len(next(iter(columns.values())))
    rows = [
        {"prompt": f"Q{at}", sides[0]: f"one {at}", sides[1]: f"two {at}"}
        | {name: of[at] for name, of in columns.items()}
        for at in range(count)
    ]
    return Source("rows.jsonl", Dataset.from_list(rows), 1.0)


def entries(source: Source, data: Data) -> list[Entry]:
    resolved = detect_format(source, data)
    assert resolved.format == "comparisons"
    return list(read_entries(select_fields(source, resolved), as_read(resolved), Style()))


def chosen(source: Source, data: Data) -> str:
    """Of each row which response is chosen, 1 or 2, or - where none is."""
    found = {"one": "1", "two": "2"}
    return "".join(found[one.record["chosen"].split()[0]] if one.record else "-" for one in entries(source, data))


def refused(source: Source, data: Data) -> str:
    with pytest.raises(PipelineError) as error:
        detect_format(source, data)
    return str(error.value)


@pytest.mark.parametrize("name", ["votes", "annotations", "preferences", "verdicts"])
@pytest.mark.parametrize("write", [list, json.dumps, str])
def test_votes_in_a_list_are_counted(name: str, write: Any, data: Data) -> None:
    votes = [["a", "a", "b"], ["B", "B"], ["a", "b"], ["tie", "tie", "a"], ["b"]]
    source = rows_of(**{name: [write(one) for one in votes]})
    assert chosen(source, data) == "12--2"
    assert [len(one.votes) for one in entries(source, data)] == [3, 2, 2, 3, 1]


def test_votes_that_are_named_are_counted_in_lists_and_beside_others(data: Data) -> None:
    source = rows_of(winner=["b", "b"], said=[["a", "a"], ["b", "a"]])
    asked = changed(data, columns={**data.columns.model_dump(), "winner": ["winner", "said"]})
    assert chosen(source, asked) == "12"


def test_numbers_in_lists_of_votes_are_declared_as_it_says(data: Data) -> None:
    source = rows_of(votes=[[1, 1, 2], [2, 2, 1]])
    found = options(refused(source, data))
    one, two = (copied(data, lines) for lines in found.values())
    assert [words[:25] for words in found] == ["1 is the first response a", "2 is the first response a"]
    assert (chosen(source, one), chosen(source, two)) == ("12", "21")


def test_a_list_that_is_the_text_of_a_response_names_it(data: Data) -> None:
    rows = [
        {"prompt": "Sort.", "response_a": "[1, 2]", "response_b": "[2, 1]", "winner": f"[{one}]"}
        for one in ("1, 2", "2, 1")
    ]
    found = entries(Source("rows.jsonl", Dataset.from_list(rows), 1.0), data)
    assert [one.record and one.record["chosen"] for one in found] == ["[1, 2]", "[2, 1]"]


def test_an_empty_list_is_no_vote(data: Data) -> None:
    found = entries(rows_of(votes=[["a"], []]), data)
    assert [one.reason for one in found] == ["", "no_winner"]


@pytest.mark.parametrize(
    ("sides", "names"),
    [
        *((SIDES, (f"{name}_a", f"{name}_b")) for name in ("score", "rating", "votes", "upvotes", "overall_score")),
        *((SIDES, (f"{name}_b", f"{name}_a")) for name in ("score", "votes")),
        (SIDES, ("a_votes", "b_votes")),
        (("response_1", "response_2"), ("score_1", "score_2")),
        (("output_1", "output_2"), ("rating_1", "rating_2")),
        (("completion_a", "completion_b"), ("score_a", "score_b")),
    ],
)
def test_the_higher_of_numbers_that_are_called_so_is_better(
    sides: tuple[str, str], names: tuple[str, str], data: Data
) -> None:
    turned = names[0].endswith("_b")
    source = rows_of(sides, **{
        names[turned]: [1, 3, 2], names[not turned]: [2, 1, 2],
    })  # fmt: skip
    assert chosen(source, data) == "21-"
    first = entries(source, data)[0]
    assert first.record and (first.record["chosen_score"], first.record["rejected_score"]) == (2, 1)
    # what is declared for the ranks of another source says nothing of scores
    assert chosen(source, changed(data, best_rank="lowest")) == "21-"
    assert chosen(source, changed(data, format="comparisons")) == "21-"


def test_texts_of_a_table_are_numbers_too_and_what_is_none_says_so(data: Data) -> None:
    source = rows_of(score_a=["10", "", "high", None], score_b=["9.5", "1", "1", "2"])
    assert [one.reason for one in entries(source, data)] == ["", "no_score", "score_is_no_number", "no_score"]


def test_the_direction_of_ranks_is_declared_as_it_says(data: Data) -> None:
    source = rows_of(rank_a=[1, 2, 1], rank_b=[2, 1, 1])
    message = refused(source, data)
    assert "rank_a + rank_b does not say by itself whether 1 is the best" in message
    found = options(message)
    assert chosen(source, copied(data, found["rank 1 is the best"])) == "12-"
    assert chosen(source, copied(data, found["the largest number is the best"])) == "21-"
    # a rank is no score of which more is better
    first = entries(source, changed(data, best_rank="lowest", best_score="lowest"))[0]
    assert first.record and "chosen_score" not in first.record and first.record["chosen"] == "one 0"


@pytest.mark.parametrize("name", ["loss", "toxicity", "elo"])
@pytest.mark.parametrize("words", ["", "a long text "])
def test_the_direction_of_other_numbers_is_declared_as_it_says(name: str, words: str, data: Data) -> None:
    source = rows_of(**{f"{name}_a": [0.1, 0.5], f"{name}_b": [0.2, 0.3]})
    long = [{key: f"{words}{value}" if key in SIDES else value for key, value in row.items()} for row in source.rows]
    message = refused(Source("rows.jsonl", Dataset.from_list(long), 1.0), data)
    found = options(message)
    assert chosen(source, copied(data, found[f"the larger of {name}_a and {name}_b is the better one's"])) == "21"
    assert chosen(source, copied(data, found[f"the smaller of {name}_a and {name}_b is the better one's"])) == "12"
    assert detect_format(source, copied(data, found["prompts are meant"])).format == "prompts"


def test_columns_that_are_declared_without_a_direction_are_refused(data: Data) -> None:
    source = rows_of(cost_a=[1, 2], cost_b=[2, 1])
    asked = changed(data, columns={**data.columns.model_dump(), "scores": ["cost_a", "cost_b"]})
    found = options(refused(source, asked))
    assert [chosen(source, copied(asked, lines)) for lines in found.values()] == ["21", "12"]
    one = changed(data, columns={**data.columns.model_dump(), "scores": "cost_a"})
    assert "name two columns there" in refused(source, one)


def test_a_winner_counts_before_scores_and_what_contradicts_them_is_refused(data: Data) -> None:
    assert chosen(rows_of(score_a=[1, 1], score_b=[2, 2], winner=["a", "b"]), data) == "12"
    for other in ({"human_choice": ["a", "a"]}, {"rank_a": [1, 2], "rank_b": [2, 1]}):
        message = refused(rows_of(score_a=[1, 1], score_b=[2, 2], **other), data)
        assert "both say which response is better, and contradict each other" in message


def test_votes_of_annotators_by_their_scores_are_put_together(data: Data) -> None:
    rows = [{"prompt": "Q", "response_a": "x", "response_b": "y", "annotator": who, "score_a": score, "score_b": 2}
            for who, score in (("ann", 3), ("bob", 1), ("eve", 5))]  # fmt: skip
    (entry,) = entries(Source("rows.jsonl", Dataset.from_list(rows), 1.0), data)
    assert entry.record and entry.record["chosen"] == "x" and len(entry.votes) == 3
