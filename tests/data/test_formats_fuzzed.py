"""Whatever a row holds, a reader gives texts or a reason, and no row is lost: on generated rows."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.data.chats import Unreadable
from pipeline.data.formats import FIELDS, OPTIONAL, read_preference, read_thumb
from pipeline.data.preparation import prepare
from pipeline.params.schema import Params
from tests.tiny_models import changed

PAIRS = ("preference_pairs", "comparisons", "scored_responses")
FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

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
    fields = [*FIELDS[form], *OPTIONAL[form]]
    return [name for field in fields for name in (["winner.0", "winner.1"] if field == "winner" else [field])]


def rows(form: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict.fromkeys(columns(form), values))


@pytest.mark.parametrize("form", PAIRS)
@FUZZ
@given(data=st.data())
def test_a_row_gives_texts_or_a_reason(form: str, data: st.DataObject) -> None:
    row = data.draw(rows(form))
    try:
        found: Iterable[Any] = read_preference(row, form).values()
    except Unreadable as reason:
        assert str(reason).isidentifier()
        return
    assert all(isinstance(text, str) for text in found)


@FUZZ
@given(row=rows("thumbs"))
def test_a_thumb_gives_texts_or_a_reason(row: dict[str, Any]) -> None:
    try:
        prompt, response, liked = read_thumb(row)
    except Unreadable as reason:
        assert str(reason).isidentifier()
        return
    assert isinstance(prompt, str) and isinstance(response, str) and isinstance(liked, bool)


@pytest.mark.parametrize("form", [*PAIRS, "thumbs", "labelled_texts"])
@FUZZ
@given(data=st.data())
def test_no_row_is_lost(form: str, data: st.DataObject, params: Params) -> None:
    raw = data.draw(st.lists(rows(form), max_size=6))
    prepared = prepare(raw, changed(params.data, format=form), seed=0)
    assert sum(prepared.counts.values()) == len(raw)
    assert [fate["row"] for fate in prepared.fates] == list(range(1, len(raw) + 1))
