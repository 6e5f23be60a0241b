"""Words that predict the label."""

from pipeline.preferences.pair import PreferencePair
from pipeline.validation.cues import find_cues
from tests.preference_pairs import preference_pair


def pairs(count: int, chosen: str, rejected: str) -> list[PreferencePair]:
    return [preference_pair("", chosen, rejected)] * count


def test_a_word_of_one_side_is_counted_once_a_pair() -> None:
    measured, found = find_cues(
        [*pairs(18, "So GREAT, great film", "film"), *pairs(2, "film", "great film"), *pairs(30, "x", "y")]
    )
    assert measured == 50
    cues = {(cue.kind, cue.cue): cue for cue in found}
    great = cues["word", "great"]
    assert (great.pairs, great.chosen_share) == (20, 0.9)
    assert 0.5 < great.low < 0.9 < great.high < 1
    # what both have tells nothing
    assert ("word", "film") not in cues
    assert cues["first_word", "so"].chosen_share == 1.0
    assert cues["word", "y"].chosen_share == 0.0
    assert found == sorted(found, key=lambda cue: cue.kind, reverse=True)


def test_rare_and_balanced_words_are_no_cues() -> None:
    assert find_cues([*pairs(9, "rare", ""), *pairs(20, "even", ""), *pairs(20, "", "even")])[1] == []
    assert find_cues([]) == (0, [])
