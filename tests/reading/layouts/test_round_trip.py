"""Random preferences, written in the shape of each layout and read again: none turns round, appears or is lost."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.data.preparation import PreparedData, prepare
from pipeline.data.raw_rows import RawRows
from pipeline.data.shares import fill_shares
from pipeline.params.schema import Params
from pipeline.reading.entries import read_entries
from pipeline.reading.formats import as_read, detect_format, select_fields
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.styles import Style
from tests.reading.layouts.reading import source
from tests.reading.layouts.writers import RANKED, TALKS, WITHOUT_TIES, WRITERS, Preference, rate
from tests.tiny_models import changed

FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Record = dict[str, Any]
words = st.text("abcxyz ,.?", min_size=1, max_size=12).map(str.strip).filter(bool)


@st.composite
def preferences(draw: st.DrawFn, name: str) -> Preference:
    count = draw(st.integers(2, 4)) if name in RANKED or name == "helpsteer_ratings" else 2
    goodness = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count, unique=name in WITHOUT_TIES))
    turns = draw(st.lists(words, min_size=1, max_size=3).filter(lambda found: len(found) % 2)) if name in TALKS else []
    system = draw(st.one_of(st.just(""), words)) if name in TALKS and name != "lmsys_kaggle" else ""
    responses = draw(st.lists(words, min_size=count, max_size=count, unique=True))
    return Preference(tuple(turns or [draw(words)]), tuple(responses), tuple(goodness), system)


def several(name: str) -> st.SearchStrategy[list[Preference]]:
    """With a first one that is decided, and prompts that are all different: each row is a pair of its own."""
    found = st.lists(preferences(name), min_size=1, max_size=5, unique_by=lambda one: one.prompt)
    return found.filter(
        lambda all_of: all_of[0].two[0] != all_of[0].two[1] and (name != "system_pairs" or speaks(all_of))
    )


def speaks(all_of: list[Preference]) -> bool:
    return any(one.system or len(one.turns) > 1 for one in all_of)


def read(rows: list[dict[str, Any]], params: Params) -> tuple[str, list[Record], PreparedData]:
    """The layout that is found, the preferences of the rows, and what prepare_data says of them."""
    raw = source(rows)
    (resolved,) = fill_shares(
        [detect_format(raw, changed(params.data, format="auto", source=raw.name))], rows=len(rows)
    )
    form = as_read(resolved)
    records = [one.record for one in read_entries(select_fields(raw, resolved), form, Style()) if one.record]
    return resolved.format, records, prepare([RawRows(raw.name, select_fields(raw, resolved), form)], seed=0)


def expected(one: Preference) -> tuple[str, str, str] | None:
    """The last turn before it, the first best and the first worst response; None of a tie."""
    best, worst = max(one.goodness), min(one.goodness)
    if best == worst:
        return None
    return one.prompt, one.responses[one.goodness.index(best)], one.responses[one.goodness.index(worst)]


def found(records: list[Record]) -> Counter[tuple[str, str, str]]:
    """What is asked last, without what a transcript or a summary writes around it."""
    return Counter((plain(one["prompt"]), one["chosen"].strip(), one["rejected"].strip()) for one in records)


def plain(prompt: str) -> str:
    return prompt.removesuffix("\n\nTL;DR:").removesuffix("\n\nAssistant:").rpartition("\n\nHuman: ")[2].strip()


@pytest.mark.parametrize("name", WRITERS)
@FEW
@given(data=st.data())
def test_no_pair_turns_round_appears_or_is_lost(name: str, data: st.DataObject, params: Params) -> None:
    written = data.draw(several(name))
    read_as, records, prepared = read([WRITERS[name](one) for one in written], params)
    assert read_as == name
    pairs = [expected(one) for one in written]
    assert found(records) == Counter(pair for pair in pairs if pair)
    assert prepared.counts["dropped.tie"] == pairs.count(None)
    left = sum(len(one.responses) - 2 for one, pair in zip(written, pairs, strict=True) if pair)
    assert prepared.counts["unused.between_best_and_worst"] == left
    assert prepared.counts.total() == len(written) + left
    assert {fate["row"] for fate in prepared.fates} == set(range(1, len(written) + 1))


@FEW
@given(data=st.data())
def test_ratings_of_a_row_each_are_paired_by_prompt(data: st.DataObject, params: Params) -> None:
    written = data.draw(several("helpsteer_ratings"))
    rows = [row for one in written for row in rate(one)]
    read_as, records, prepared = read(rows, params)
    assert read_as == "helpsteer_ratings"
    assert found(records) == Counter(pair for one in written if (pair := expected(one)))
    assert {fate["row"] for fate in prepared.fates} == set(range(1, len(rows) + 1))


@pytest.mark.parametrize("name", sorted(TALKS))
@FEW
@given(data=st.data())
def test_everything_that_was_said_before_is_in_the_prompt(name: str, data: st.DataObject, params: Params) -> None:
    written = data.draw(several(name).filter(speaks))
    _, records, _ = read([WRITERS[name](one) for one in written], params)
    prompts = {plain(pair["prompt"]): pair["prompt"] for pair in records}
    for one in written:
        if expected(one):
            at = -1
            for text in [*([one.system] if one.system else []), *one.turns]:
                at = prompts[one.prompt].index(text, at + 1)


def test_every_layout_has_a_writer() -> None:
    assert {*WRITERS, "helpsteer_ratings"} == set(LAYOUTS)
