"""Which texts are covered by runs of words of others: by hand, and against every two compared."""

import random

import numpy as np
import pytest

from pipeline.data.covered_texts import (
    LONG,
    NO_HASHES,
    RUN,
    Compared,
    CoveredTexts,
    compared_words,
    covered_share,
    hashes_of,
)

ALL = np.ones(6, dtype=bool)
WORDS = [f"w{number}".encode() for number in range(60)]


def test_the_share_by_hand() -> None:
    words, other = b"a b c d e f".split(), b"x a b c y d e f g".split()
    assert covered_share(words, ALL, other, run=3) == 1.0
    assert covered_share(words, ALL, other[:6], run=3) == 0.5
    assert covered_share(words, ALL, other, run=4) == 0.0
    # of the words that count, a is covered and d is not
    assert covered_share(words, np.array([1, 0, 0, 1, 0, 0], dtype=bool), other[:6], run=3) == 0.5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What's THAT, then?", "what s that then"),
        ("cafe\u0301 au lait", "CAF\u00c9 au  lait"),
        ("\uff21\uff22\uff23 \ufb01lm", "abc film"),
        ("\u201cStra\u00dfe\u201d", "STRASSE"),
        ("\u6211\u7231\u4f60\u3002", "\u6211 \u7231 \u4f60"),
    ],
)
def test_the_same_words_in_another_writing(one: str, other: str) -> None:
    assert compared_words(one) == compared_words(other) != []


def test_letters_of_scripts_without_spaces_are_words() -> None:
    assert len(compared_words("\u6211\u7231\u4f60")) == 3 and len(compared_words("\u3042\u308a\u304c\u3068\u3046")) == 5
    assert len(compared_words("\uc0ac\ub791\ud574 \ub108\ub97c")) == 2, "Korean has spaces"


def compared(words: list[bytes], number: int) -> Compared:
    return Compared(number, words, np.ones(len(words), dtype=bool))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("threshold", [0.4, 0.75, 1.0])
@pytest.mark.parametrize("length", [9, 20, LONG, 80])
def test_all_that_comparing_every_two_finds_is_found(length: int, threshold: float, whole: bool) -> None:
    rng = random.Random(length)
    texts = [compared(rng.choices(WORDS, k=length), number) for number in range(40)]
    others = [rng.choices(WORDS, k=200) for _ in range(40)]
    for text, other in zip(texts, others, strict=True):
        copy = [word if rng.random() > 0.1 else b"other" for word in text.words]
        other[50 : 50 + length] = copy if rng.random() < 0.7 else text.words
    expected = {
        (at, text.number)
        for at, other in enumerate(others)
        for text in texts
        if covered_share(text.words, text.own, other, run=text.run if whole else RUN) >= threshold
    }
    found = {
        (at, text.number)
        for at, text, _ in CoveredTexts(texts, NO_HASHES, threshold=threshold).find(others, whole=whole)
    }
    assert found == expected != set()


def test_words_of_a_template_cover_nothing() -> None:
    template, own = [f"t{number}".encode() for number in range(40)], b"a b c d e f g h i".split()
    words = [*template, *own]
    text = Compared(0, words, np.arange(len(words)) >= len(template))
    index = CoveredTexts([text], hashes_of([template])[0], threshold=0.5)
    assert list(index.find([[*template, *b"z y x w v u t s r".split()]], whole=False)) == []
    assert [share for _, _, share in index.find([[b"else", *own[:6]]], whole=False)] == [6 / 9]


def test_nothing_is_found_in_nothing() -> None:
    assert list(CoveredTexts([], NO_HASHES, threshold=0.5).find([[b"a"] * 9], whole=True)) == []
    assert list(CoveredTexts([compared(WORDS[:9], 0)], NO_HASHES, threshold=0.5).find([[], [b"a"]], whole=True)) == []


def test_a_word_that_is_said_again_and_again_takes_no_more_room() -> None:
    """Forty texts of four hundred times one word met in 250 million pairs of places."""
    said = [b"word"] * 400
    index = CoveredTexts([compared(said, number) for number in range(40)], NO_HASHES, threshold=0.75)
    assert len(index._keys) == 40
    assert len(list(index.find([said] * 40, whole=True))) == 40 * 40
    assert not list(index.find([[b"word"] * 2 + [b"else"]] * 40, whole=True))
