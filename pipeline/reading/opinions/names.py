"""Which columns say who won, by their names."""

import re
from collections.abc import Mapping

from pipeline.reading.sides import parts_of, tags_of
from pipeline.reading.votes import Verdict

_WHO = "winner|winning|preference|preferred|better|best|chosen|choice|vote|verdict|selected"
_THING = (
    "index|idx|id|response|answer|output|completion|candidate|option|text|model|side|label|name|vote|choice|verdict"
)
_BY_SOMEBODY = "gold|majority|consensus|human|expert|oracle|annotator|final|true"
_SAYS_WHO = re.compile(rf"(?:{_WHO}|label)(?:[ _.-]?(?:{_THING}))?(?:[ _.-]?\d+)?|.*[ _.-](?:{_WHO})", re.IGNORECASE)
_JUDGES = re.compile(
    rf"gold|majority|consensus|annotation|judge?ment|decision|(?:{_BY_SOMEBODY})[ _.-]?(?:label|judge?ment|decision)",
    re.IGNORECASE,
)
"""Called so, a column may also say something else than who won."""
_LOSES = re.compile(
    r"(?:.*[ _.-])?(?:loser|losing|loses|lost|worse|worst|rejected|dispreferred|(?:non|not)[ _.-]?preferred)"
    rf"(?:[ _.-]?(?:{_THING}))?",
    re.IGNORECASE,
)
_UNWANTED = re.compile(
    r"(?:is[ _.-]?)?(?:unwanted|undesirable|bad|disliked|downvoted|rejected|refused)|thumbs?[ _.-]?down", re.IGNORECASE
)
_TIE = re.compile(r"(?:is[ _.-]?)?(?:a[ _.-]?)?(?:tie|tied|draw)|both[ _.-]?(?:bad|good|equal)", re.IGNORECASE)
_AGREES = re.compile(r"(?:.*[ _.-])?(?:agrees?|agreed|confirmed)(?:[ _.-].*)?", re.IGNORECASE)
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
    "likes", "votes", "quality", "helpfulness", "correctness", "coherence", "usefulness", "satisfaction",
})  # fmt: skip
_OF_SCORES = frozenset({
    "overall", "mean", "avg", "average", "median", "total", "sum", "final", "normalized", "human", "annotator", "rater",
    "user", "judge", "model", "rm", "llm", "gpt", "claude", "gemini", "llama", "mini", "turbo", "o", "response",
    "answer", "output", "completion", "chosen", "rejected", "a", "b", "first", "second", "left", "right", "fluency",
    "relevance", "accuracy", "clarity", "honesty", "truthfulness", "preference", "instruction", "following",
    "our", "the", "value", "num", "n", "count",
})  # fmt: skip
"""Words beside these that leave the direction as it is; any other may turn it, as toxicity does."""
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


def judges(name: str) -> bool:
    """Whether it is called as a judgement, which may be one of who won, such as `majority` or `gold_label`."""
    return _JUDGES.fullmatch(name.strip()) is not None


def says_tie(name: str) -> bool:
    """Whether true says that neither response won, such as `is_tie`."""
    return _TIE.fullmatch(name.strip()) is not None


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
    return plain not in _OTHER_WORDS and not judges(name)


def says_wanted(name: str) -> bool:
    """Whether true, of a single response, says that it is a good one, such as `is_preferred`."""
    return _WANTED.fullmatch(name.strip()) is not None


def says_unwanted(name: str) -> bool:
    """Whether true, of a single response, says that it is a bad one, such as `thumbs_down` or `rejected`."""
    return _UNWANTED.fullmatch(name.strip()) is not None or names_loser(name)


def is_label(name: str) -> bool:
    """Whether it labels a single response, in codes that may mean one thing or another."""
    return _LABELS.fullmatch(name.strip()) is not None


def is_rank(name: str) -> bool:
    """Whether it ranks responses."""
    return _RANKS.fullmatch(name.strip()) is not None


def is_score(name: str) -> bool:
    """Whether it is called as a number of which more is better, which neither `toxicity_score` nor `average` is."""
    parts = {part for part in parts_of(name) if not part.isdigit()}
    return not parts.isdisjoint(_MORE_IS_BETTER) and parts <= _MORE_IS_BETTER | _OF_SCORES


def is_number(name: str) -> bool:
    """Whether it ranks or scores responses."""
    return is_rank(name) or is_score(name)


def mentions_score(name: str) -> bool:
    """Whether the name of a file, which has other words, too, says that it holds scores."""
    return not _MORE_IS_BETTER.isdisjoint(parts_of(name))


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
