"""Words and truth values that say of a response whether it is wanted, whatever their column is called."""

from typing import Any

GOOD = frozenset({
    *("yes", "y", "true", "t", "ok", "okay", "good", "great", "right", "correct", "safe", "harmless", "helpful"),
    *("useful", "pass", "passed", "accept", "accepted", "acceptable", "approve", "approved", "positive", "like"),
    *("liked", "chosen", "preferred", "up", "thumbs_up", "thumbs up", "thumbsup", "win", "upvote", "better"),
    *("desirable", "wanted", "agree", "agrees", "👍"),
})  # fmt: skip
BAD = frozenset({
    *("no", "n", "false", "f", "not ok", "bad", "poor", "wrong", "incorrect", "unsafe", "harmful", "unhelpful"),
    *("useless", "fail", "failed", "reject", "rejected", "unacceptable", "disapproved", "not approved", "declined"),
    *("denied", "negative", "dislike", "disliked", "toxic", "dispreferred", "down", "thumbs_down", "thumbs down"),
    *("thumbsdown", "lose", "downvote", "worse", "undesirable", "unwanted", "disagree", "disagrees", "👎"),
})  # fmt: skip

_TRUTHS = frozenset({"yes", "y", "true", "t", "no", "n", "false", "f"})
"""Words that may be said of what is bad, too."""


def as_truth(value: Any) -> bool | None:
    """True and false, also as 1 and 0, and as words for what is good and bad."""
    text = str(value).strip().casefold().removesuffix(".0")
    return True if text == "1" or text in GOOD else False if text == "0" or text in BAD else None


def as_word(value: Any) -> bool | None:
    """Whether a word that is no truth value says that a response is good, as good and bad do."""
    text = str(value).strip().casefold()
    return None if text in _TRUTHS else True if text in GOOD else False if text in BAD else None
