"""Which columns say who won, by their names."""

import re
from collections.abc import Mapping

from pipeline.reading.sides import parts_of, tags_of
from pipeline.reading.verdicts import Verdict

_WHO = "winner|winning|preference|preferred|better|best|chosen|choice|vote|verdict|selected"
_JUDGED = "gold|majority|consensus|annotation|judge?ment|decision|ground[ _.-]?truth|human|expert|oracle"
_THING = (
    "index|idx|id|response|answer|output|completion|candidate|option|text|model|side|label|name|vote|choice|verdict"
)
_SAYS_WHO = re.compile(rf"(?:{_WHO}|{_JUDGED}|label)(?:[ _.-]?(?:{_THING}))?|.*[ _.-](?:{_WHO})", re.IGNORECASE)
_LOSES = re.compile(
    r"(?:.*[ _.-])?(?:loser|losing|loses|lost|worse|worst|rejected|dispreferred|(?:non|not)[ _.-]?preferred)"
    rf"(?:[ _.-]?(?:{_THING}))?",
    re.IGNORECASE,
)
_AGREES = re.compile(r"(?:.*[ _.-])?(?:agrees?|agreed|agreement|confirmed)(?:[ _.-].*)?", re.IGNORECASE)
_INDEX = re.compile(r".*(?:index|idx)", re.IGNORECASE)
_WANTED = re.compile(
    rf"(?:is[ _.-]?)?(?:{_WHO}|wanted|accepted|approved|liked|good|correct|desirable|upvoted)"
    r"(?:[ _.-]?(?:response|answer|output|completion))?|thumbs?[ _.-]?up",
    re.IGNORECASE,
)
_LABELS = re.compile(r"(?:.*[ _.-])?(?:label|thumbs?|feedback|liked)(?:[ _.-]?\d+)?", re.IGNORECASE)
_RANKS = re.compile(r"(?:.*[ _.-])?rank(?:s|ing)?(?:[ _.-]?(?:[ab]|\d+))?", re.IGNORECASE)
_MORE_IS_BETTER = frozenset({
    "score", "scores", "rating", "ratings", "reward", "rewards", "star", "stars", "upvote", "upvotes", "like",
    "likes", "votes", "points", "quality", "helpfulness", "helpful", "correctness", "coherence", "usefulness",
    "satisfaction", "overall", "average", "mean",
})  # fmt: skip
_LESS_IS_BETTER = frozenset({
    "toxicity", "toxic", "harm", "harmful", "harmfulness", "loss", "error", "errors", "risk", "penalty",
    "perplexity", "ppl", "distance", "cost", "downvotes", "dislikes", "bad", "badness", "wrong", "unsafe",
    "hallucination", "hallucinations", "refusal", "bias", "nll", "latency", "rank",
})  # fmt: skip
_OTHER_WORDS = frozenset({"label", "selected", "choice", "utterance", "vote", "best"})
"""Columns in which words that are no verdict say something else."""
_SUPERSEDED = frozenset({"original", "old", "previous", "initial", "former", "raw"})
_WON = frozenset({"better", "best", "won", "win", "wins", "winner", "preferred", "chosen", "selected"})
_BETWEEN = frozenset({"is", "was", "the", "response", "answer", "output", "completion", "model", "text", "one"})


def is_superseded(name: str) -> bool:
    """Whether it is called as what was there before something was mended, such as `original_chosen`."""
    return not _SUPERSEDED.isdisjoint(parts_of(name)[:1])


def says_who(name: str) -> bool:
    """Whether a column is called as one that names the better response."""
    return _SAYS_WHO.fullmatch(name.strip()) is not None


def names_loser(name: str) -> bool:
    """Whether it is called as one that names the worse response, such as `loser` or `rejected_text`."""
    return _LOSES.fullmatch(name.strip()) is not None


def says_agreement(name: str) -> bool:
    """Whether its truth values say if somebody agrees with what is read, such as `annotator_agrees`."""
    return _AGREES.fullmatch(name.strip()) is not None


def counts_places(name: str) -> bool:
    """Whether its numbers are places of responses, from 0 or from 1."""
    return _INDEX.fullmatch(name.strip()) is not None


def has_words_of_its_own(name: str) -> bool:
    """Whether any word in it may be a code for a response."""
    plain = name.strip().casefold()
    return plain not in _OTHER_WORDS and re.fullmatch(rf"(?:{_JUDGED}).*", plain) is None


def says_wanted(name: str) -> bool:
    """Whether true, of a single response, says that it is a good one, such as `is_preferred`."""
    return _WANTED.fullmatch(name.strip()) is not None


def is_label(name: str) -> bool:
    """Whether it labels a single response, in codes that may mean one thing or another."""
    return _LABELS.fullmatch(name.strip()) is not None


def is_rank(name: str) -> bool:
    """Whether it ranks responses."""
    return _RANKS.fullmatch(name.strip()) is not None


def is_score(name: str) -> bool:
    """Whether it is called as a number of which more is better, which `toxicity_score` is not."""
    parts = set(parts_of(name))
    return not parts.isdisjoint(_MORE_IS_BETTER) and parts.isdisjoint(_LESS_IS_BETTER)


def side_that_won(name: str, columns: tuple[str, str]) -> Verdict | None:
    """The response that true speaks for in a column such as `a_better` or `is_second_preferred`.

    Args:
        columns: of both responses.
    """
    tags: Mapping[str, Verdict] = tags_of(columns)
    parts = parts_of(name)
    named = [part for part in parts if part in tags]
    rest = set(parts) - set(named)
    return tags[named[0]] if len(named) == 1 and rest & _WON and rest <= _WON | _BETWEEN else None
