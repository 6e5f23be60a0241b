"""Defects of texts that can be trained on all the same: bad characters, and responses that repeat their prompt."""

import re

from ftfy.badness import is_bad

# embeddings, overrides and isolates; the marks U+200E, U+200F and U+061C are usual in Hebrew and Arabic
_BIDI_CONTROL = re.compile("[\u202a-\u202e\u2066-\u2069]")
# a leading byte of UTF-8 and a byte that goes on, both read as Latin-1 or Windows-1252
_TWO_BYTES = re.compile("[\u00c2-\u00f4][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
_TURN_BEGIN = re.compile(r"(?:^|[\n>\]:])[ \t]*$")
_TURN_END = re.compile(r"\s*(?:$|<|\[/|###|Assistant:)")
_SHORTEST_ECHO = 12
"""Characters; a response may well begin with a shorter prompt, such as a name."""


def has_bidi_control(text: str) -> bool:
    """Whether a text has characters that show it in another order than models read it."""
    return not text.isascii() and _BIDI_CONTROL.search(text) is not None


def has_replacement_character(text: str) -> bool:
    """Whether a decoder could not read a part of a text, and wrote U+FFFD for it."""
    return "\ufffd" in text


def is_mojibake(text: str) -> bool:
    """Whether a text is UTF-8 that was read as Latin-1 or Windows-1252, as in `cafÃ©` and `Itâ€™s`.

    ftfy tells such sequences from those of languages that use the same letters (https://ftfy.readthedocs.io). It takes
    a millisecond for a long text, so only texts with two fitting characters are shown to it.
    """
    return not text.isascii() and _TWO_BYTES.search(text) is not None and is_bad(text)


def repeats_prompt(prompt: str, response: str) -> bool:
    """Whether a response begins with its whole prompt, or with the last turn of one that has several."""
    begin = response.lstrip()
    at = prompt.rfind(begin[:_SHORTEST_ECHO]) if len(begin) >= _SHORTEST_ECHO else -1
    if at < 0 or not _TURN_BEGIN.search(prompt[max(0, at - 8) : at]):
        return False
    turn = prompt[at:].rstrip()
    shared = next((n for n, (one, two) in enumerate(zip(turn, begin, strict=False)) if one != two), None)
    rest = turn[len(begin) :] if shared is None else turn[shared:]
    return _TURN_END.match(rest) is not None
