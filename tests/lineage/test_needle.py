"""Texts that are looked for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.records import fold
from pipeline.lineage.needle import Needle

TEXTS = (
    "The  Straße\nis LONG",
    "the strasse is long",
    'He said "No" and\\left',
    "ﬁne \u212aelvin",
    "naïve nai\u0308ve",
    "",
    "a 1.5 \ud800",
    "long",
)
LETTERS = st.sampled_from("sSkKfFiIhHtTwWjJnNaA ſßẞKﬁﬂﬃﬆİıŉǰẖẗẘéÉåÅẛ\u0301\u0307\u0308\u030c\u0331\u02bc")
WANTED = (*TEXTS, "STRASSE is", 'said "no"', "fine", "kelvin", "nothing of it", "!", "is\tlong", "NAÏVE", "n o")


@pytest.mark.parametrize("wanted", WANTED)
def test_a_needle_is_found_where_the_folded_text_has_it(wanted: str) -> None:
    needle = Needle(wanted)
    for text in TEXTS:
        contained = fold(wanted) in fold(text)
        assert needle.is_in(text) == contained
        for plain in (True, False):
            line = json.dumps({"prompt": text}, ensure_ascii=plain)
            assert needle.may_be_in(line) or not contained


def test_plain_lines_without_it_are_not_parsed() -> None:
    for text in ("short", "é short", "漢字 – ¿qué?"):
        assert not Needle("A long sentence").may_be_in(json.dumps({"prompt": text}))
        assert not Needle("A long sentence").may_be_in(json.dumps({"prompt": text}, ensure_ascii=False))
    assert not Needle("A long sentence").may_be_in('{"prompt": "sentences"}'), "it lacks one of the words"
    assert Needle("A long sentence").may_be_in('{"prompt": "a headlong rush of sentences"}')


@given(wanted=st.text(LETTERS, max_size=4), text=st.text(LETTERS, max_size=12))
def test_no_letter_hides_what_folding_finds(wanted: str, text: str) -> None:
    contained = fold(wanted) in fold(text)
    assert Needle(wanted).is_in(text) == contained
    assert all(
        Needle(wanted).may_be_in(json.dumps(text, ensure_ascii=plain)) or not contained for plain in (True, False)
    )
