"""Columns that hold a few codes, such as thumbs up and down or ratings, found by their values."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.params.codings import code_number, plain_code
from pipeline.reading.rows import Row
from pipeline.reading.sides import parts_of

_MOST_CODES = 10
_LONGEST = 40
"""Characters of a word that may be a code."""
_TRUTH = frozenset({"true", "false"})
_YEARS = range(1900, 2101)
_OF_THE_ROW = frozenset({
    "id", "ids", "idx", "index", "uid", "uuid", "key", "no", "nr", "number", "num", "n", "count", "counts",
    "row", "line", "length", "len", "size", "tokens", "token", "words", "chars", "characters", "bytes",
    "sentences", "turn", "turns", "round", "step", "epoch", "iteration", "fold", "split", "seed", "shard",
    "chunk", "batch", "page", "part", "offset", "position", "start", "end", "order", "time", "timestamp",
    "date", "year", "month", "day", "hour", "created", "updated", "duration", "latency", "lang", "language",
    "locale", "english", "country", "source", "dataset", "origin", "domain", "version", "revision",
    "temperature", "top", "max", "min", "topic", "category", "subject", "subset", "task", "type", "cluster",
    "group", "level", "difficulty", "model", "engine", "generator", "user", "author", "worker", "annotator",
    "rater", "age", "gender", "truncated", "streaming", "stream", "code", "math", "image", "images",
    "synthetic", "augmented", "translated", "redacted", "anonymized", "deduplicated", "public", "test",
    "train", "holdout", "eval", "multi", "multiturn", "views", "price",
})  # fmt: skip
"""Parts of names of columns that say where a row is from or how it was made, and not how good its response is."""


def code_columns(rows: Sequence[Row], names: Iterable[str]) -> dict[str, Counter[str]]:
    """The columns that hold 2 to 10 different codes, with how often each code occurs.

    A code is a truth value, a number or a short word that comes again: ids, dates and texts differ in each row.
    """
    found = {name: _codes(row.get(name) for row in rows) for name in names}
    return {name: codes for name, codes in found.items() if codes}


def _codes(values: Iterable[Any]) -> Counter[str]:
    codes: Counter[str] = Counter()
    for value in values:
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        if not isinstance(value, str | int | float) or len(str(value)) > _LONGEST:
            return Counter()
        codes[plain_code(value)] += 1
        if len(codes) > _MOST_CODES:
            return Counter()
    comes_again = codes.total() >= 2 * len(codes) or codes.keys() <= _TRUTH
    return codes if len(codes) > 1 and comes_again else Counter()


def are_numbers(codes: Iterable[str]) -> bool:
    """Whether all are numbers or truth values, and not years."""
    numbers = [code_number(code) for code in codes if code not in _TRUTH]
    return None not in numbers and not (numbers and all(number in _YEARS for number in numbers))


def is_of_the_row(name: str) -> bool:
    """Whether a column's name says that it holds where a row is from, or how it was made."""
    return not _OF_THE_ROW.isdisjoint(parts_of(name)) or bool(re.fullmatch(r"unnamed.*", name, re.IGNORECASE))


def is_of_the_prompt(rows: Sequence[Row], name: str, prompt: str | None) -> bool:
    """Whether prompts come several times, each with the same value: it then says nothing of the response."""
    said: dict[str, Counter[str]] = {}
    for row in rows if prompt else ():
        said.setdefault(str(row.get(str(prompt))), Counter())[plain_code(row.get(name))] += 1
    several = [codes for codes in said.values() if codes.total() > 1]
    return len(several) > 1 and all(len(codes) == 1 for codes in several)
