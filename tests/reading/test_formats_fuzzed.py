"""Whatever a row holds, it becomes an entry with texts or a reason, and no row is lost: on generated rows."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.data.preparation import prepare
from pipeline.data.raw_rows import RawRows
from pipeline.data.shares import fill_shares
from pipeline.params.schema import Params
from pipeline.reading.entries import read_entries
from pipeline.reading.fields import FIELDS, OPTIONAL
from pipeline.reading.styles import Style
from tests.tiny_models import changed

FUZZ = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

words = st.sampled_from(["", " ", "\n\nHuman: a\n\nAssistant:", "\n\nAssistant: b", "user", "gpt", "a", "tie", "\0"])
texts = st.one_of(words, st.text(st.characters(), max_size=8))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
messages = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "human", "gpt", "critic"]),
        "content": st.one_of(texts, st.lists(st.dictionaries(st.sampled_from(["text", "value"]), texts), max_size=2)),
        "from": scalars,
        "value": scalars,
        "score": scalars,
        "response": scalars,
    },
)
values = st.recursive(
    st.one_of(scalars, st.lists(messages, max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


def columns(form: str) -> list[str]:
    fields = [*FIELDS[form], *OPTIONAL.get(form, ())]
    several = {"winner": ["winner.0", "winner.1"]}
    if form == "round_robin":
        several = {"winner": ["winner.0"], "responses": ["responses.0", "responses.1", "responses.2"]}
    return [name for field in fields for name in several.get(field, [field])]


def rows(form: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: st.one_of(values, *special.get(name, [])) for name in columns(form)})


trees = st.recursive(
    messages,
    lambda inner: st.builds(lambda one, replies: {**one, "replies": replies}, messages, st.lists(inner, max_size=3)),
    max_leaves=6,
)
special = {"tree": [trees], "winner.0": [st.lists(st.integers(0, 2), min_size=3, max_size=3)]}


@pytest.mark.parametrize("form", FIELDS)
@FUZZ
@given(data=st.data())
def test_every_row_gives_texts_or_a_reason_and_none_is_lost(form: str, data: st.DataObject, params: Params) -> None:
    raw = data.draw(st.lists(rows(form), max_size=6))
    annotated = {"annotator": "annotator"} if form == "comparisons" and data.draw(st.booleans()) else {}
    settings_of = changed(params.data, format=form, columns={**params.data.columns.model_dump(), **annotated})
    entries = list(read_entries(raw, settings_of, Style()))
    assert {row for entry in entries for row in entry.rows} == set(range(1, len(raw) + 1))
    for entry in entries:
        if entry.record is None:
            assert entry.reason.isidentifier()
        else:
            numbers = ("label", "chosen_score", "rejected_score")
            texts = {name: value for name, value in entry.record.items() if name not in numbers}
            assert all(isinstance(text, str) for text in texts.values()) and not entry.reason
    [resolved] = fill_shares([settings_of], rows=len(raw))
    prepared = prepare([RawRows("rows", raw, resolved)], seed=0)
    assert sum(prepared.counts.values()) == len(prepared.fates)
    assert {fate["row"] for fate in prepared.fates} == set(range(1, len(raw) + 1))
