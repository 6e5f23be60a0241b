"""Words that tell which response was chosen: a reward model can learn them instead of what was meant."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from pipeline.evaluation.statistics import wilson_interval
from pipeline.preferences.pair import PreferencePair
from pipeline.results.preferences import Cue

_MOST_PAIRS = 50_000
_FEWEST_PAIRS = 10
_LISTED = 12
_STRIPPED = ".,;:!?\"'()[]{}*#`-–—…"


def find_cues(pairs: Sequence[PreferencePair]) -> tuple[int, list[Cue]]:
    """The words that predict the label best, by the distance of their interval from 0.5.

    Args:
        pairs: the accepted pairs; if they are more than 50,000, evenly spaced ones are read.

    Returns:
        The number of pairs that were read, and at most 12 words of each kind, each in 10 pairs or more and with an
        interval that does not hold 0.5. Thousands of words are tried, so a few of the weakest are there by chance.
    """
    step = -(-len(pairs) // _MOST_PAIRS) if pairs else 1
    measured = pairs[::step]
    counted = {"word": _count(measured, _words), "first_word": _count(measured, _first_word)}
    return len(measured), [cue for kind, counts in counted.items() for cue in _strongest(kind, *counts)]


def _count(pairs: Sequence[PreferencePair], words_of: Callable[[str], set[str]]) -> tuple[Counter[str], Counter[str]]:
    """For each word the number of pairs in which only the chosen response has it, and only the rejected one."""
    chosen: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for pair in pairs:
        ours, theirs = words_of(pair.chosen), words_of(pair.rejected)
        chosen.update(ours - theirs)
        rejected.update(theirs - ours)
    return chosen, rejected


def _words(text: str) -> set[str]:
    return {word for raw in text.casefold().split() if (word := raw.strip(_STRIPPED))}


def _first_word(text: str) -> set[str]:
    return {word for raw in text.casefold().split()[:1] if (word := raw.strip(_STRIPPED))}


def _strongest(kind: str, chosen: Counter[str], rejected: Counter[str]) -> Iterable[Cue]:
    cues: list[Cue] = []
    for word in sorted(chosen.keys() | rejected.keys()):
        count = chosen[word] + rejected[word]
        if count >= _FEWEST_PAIRS:
            share = wilson_interval(chosen[word], count)
            if share.low > 0.5 or share.high < 0.5:
                mean, low, high = (round(value, 6) for value in (share.mean, share.low, share.high))
                cues.append(Cue(kind=kind, cue=word, pairs=count, chosen_share=mean, low=low, high=high))
    return sorted(cues, key=_strength, reverse=True)[:_LISTED]


def _strength(cue: Cue) -> tuple[float, int]:
    return max(cue.low - 0.5, 0.5 - cue.high), cue.pairs
