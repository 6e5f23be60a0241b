"""What is kept of each pair for summary, details and thresholds: some numbers, so that its texts are read once."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from pipeline.data.records import fold, key_of
from pipeline.data.splits import PAIR_SPLITS
from pipeline.preferences.pair import RawPair

TEXTS = ("prompt", "chosen", "rejected")
FACTS = np.dtype(
    [
        ("split", np.int8),  # its number in PAIR_SPLITS; -1 is none of them
        ("file", np.int32),  # number of its file among those of the batch, later of the whole
        *((f"{name}_words", np.int32) for name in TEXTS),
        ("characters", np.int32),  # of the longest text; -1 where one is no text
        ("longer", np.int8),  # 1 when the chosen response has more characters, -1 when it has fewer
        ("margin", np.float64),  # NaN where the pair has none
        ("prompt", np.uint64),  # key of the folded prompt
        ("beginning", np.uint64),  # key of its first three words
        ("votes", np.bool_),  # whether the pair has votes
        ("tokens", np.int32),  # of prompt and longer response; 0 where nothing was measured
        ("cut_characters", np.int32),  # taken off the prompt
        ("cut_tokens", np.int32),
        ("as_written", np.bool_),  # its line is what writing it again would give
    ]
)


@dataclass(frozen=True)
class Facts:
    """The facts of a batch, gathered in one pass over its texts."""

    table: np.ndarray
    """See FACTS: (N,); the columns that are measured later are 0."""
    comparable: list[list[str]]
    """The texts of each row in the form in which equal ones count as the same."""


def facts_of(rows: Sequence[RawPair], files: dict[str, int]) -> Facts:
    """The facts of rows, which may be malformed.

    Args:
        rows: raw pairs, with their prompts as they were cut.
        files: the number of each file so far; new files are added.
    """
    facts = Facts(np.zeros(len(rows), dtype=FACTS), [])
    for number, row in enumerate(rows):
        texts = [text if isinstance(text := row.get(name), str) else None for name in TEXTS]
        squeezed = [squeeze(text or "") for text in texts]
        facts.comparable.append([text for text, _ in squeezed])
        folded = fold(texts[0] or "")
        prompt, chosen, rejected = (len(text or "") for text in texts)
        facts.table[number] = (
            PAIR_SPLITS.index(row["split"]) if row.get("split") in PAIR_SPLITS else -1,
            files.setdefault(file_of(row), len(files)),
            *(words for _, words in squeezed),
            -1 if None in texts else max(prompt, chosen, rejected),
            (chosen > rejected) - (chosen < rejected),
            _number(row.get("margin")),
            key_of(folded),
            key_of(" ".join(folded.split(" ")[:3])),
            bool(row.get("votes")),
            *(0,) * 4,
        )
    return facts


def squeeze(text: str) -> tuple[str, int]:
    """The text with NFC and single spaces, in which equal texts count as the same, and its number of words."""
    words = (text if text.isascii() else unicodedata.normalize("NFC", text)).split()
    return " ".join(words), len(words)


def file_of(row: RawPair) -> str:
    """The file that a pair is from; `samples` for samples of the policy."""
    origin = row.get("origin")
    return origin["file"] if isinstance(origin, Mapping) and isinstance(origin.get("file"), str) else "samples"


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, int | float) and isfinite(value) else float("nan")
    except OverflowError:
        return float("nan")
