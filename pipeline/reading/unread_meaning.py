"""Columns that nothing reads though they change what a row means: system texts, documents, flags that turn it round."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.params.data import Data
from pipeline.reading.opinions.words import as_truth
from pipeline.reading.samples import read_rows
from pipeline.reading.sides import parts_of
from pipeline.reading.sources import Source
from pipeline.reading.written_messages import structure

_CHANGES = re.compile(
    r"system|system[ _-]?(?:prompt|message)|history|tools|tool_calls|functions|function_calls?|images?|videos?|audios?"
    r"|instruction|input",
    re.IGNORECASE,
)
_BESIDE_PROMPT = re.compile(
    r"(?:retrieved[ _-]?)?(?:contexts?|documents?|docs|evidence|knowledge)|persona|background|post|article",
    re.IGNORECASE,
)
"""What a prompt may be about; it may also be the place that a row was found at, which is a word or a number."""
_TURNED = frozenset({
    "flip", "flips", "flipped", "swap", "swaps", "swapped", "reverse", "reversed", "invert", "inverted", "switched",
    "mislabelled", "mislabeled",
})  # fmt: skip
"""Parts of names of flags by which the winner, or the order of the responses, was turned round."""
_A_SENTENCE = 4
"""Words from which a text is no name of a place."""


def meaning_changed_by(source: Source, data: Data, names: Sequence[str]) -> list[str]:
    """The unread columns that change what some row means. All rows are looked at, in columns with such names.

    Args:
        data: resolved.
        names: of unread columns.
    """
    found = [name for name in names if _CHANGES.fullmatch(name.strip()) and any(_filled(source, name))]
    if data.format not in ("texts", "labelled_texts"):
        found += [name for name in names if _BESIDE_PROMPT.fullmatch(name.strip()) and _adds(source, data, name)]
    return found + [name for name in names if _turns(source, name)]


def _filled(source: Source, name: str) -> Iterable[bool]:
    return (row.get(name) not in (None, "", [], {}) for _, row in read_rows(source, [name]))


def _adds(source: Source, data: Data, name: str) -> bool:
    """Whether a text there is one that a prompt may be about, and that it does not repeat."""
    asked = data.columns.prompt or data.columns.chosen or data.columns.response or ""
    columns = [one for one in (asked, name) if one in source.rows.column_names]
    for _, row in read_rows(source, columns):
        prompt = _plain(str(row.get(asked)))
        texts = [_plain(text) for text in _texts(structure(row.get(name)))]
        if sum(len(text.split()) for text in texts) >= _A_SENTENCE and any(text not in prompt for text in texts):
            return True
    return False


def _texts(value: Any) -> list[str]:
    """All texts in a text, a list or an object, at any depth."""
    if isinstance(value, str):
        return [value]
    inner = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else []
    return [text for one in inner for text in _texts(one)]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _turns(source: Source, name: str) -> bool:
    """Whether a flag, or one in its objects, is true of a row."""
    called_so = not _TURNED.isdisjoint(parts_of(name))
    return any(
        as_truth(value) is True
        for _, row in (read_rows(source, [name]) if called_so or _has_flags(source, name) else ())
        for value in ([row.get(name)] if called_so else _flags(row.get(name)))
    )


def _has_flags(source: Source, name: str) -> bool:
    return next((bool(_flags(row.get(name))) for _, row in read_rows(source, [name], range(1))), False)


def _flags(value: Any) -> list[Any]:
    found = structure(value)
    keys = found if isinstance(found, Mapping) else {}
    return [inner for key, inner in keys.items() if not _TURNED.isdisjoint(parts_of(str(key)))]
