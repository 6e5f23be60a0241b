"""Counts the tokens of many texts: each different word once, where the tokenizer allows it."""

import json
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyarrow import compute
from tokenizers import Tokenizer

from pipeline.data.records import JsonObject

_CUT = re.compile(r"(?<=\S)(?= \S)")
_MOST_WORDS = 2**19
_BATCH = 1000
_PATTERNS = tuple(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    + digits
    + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for digits in (r"\p{N}{1,3}", r"\p{N}")
)
"""The splitting patterns of Llama 3, Qwen and their kin: behind a single space, any other character begins a piece."""


class TokenCounter:
    """Counts as the tokenizer does, without special tokens around the text.

    A byte-level tokenizer of the usual kind begins a new piece at each single space between two words, so the tokens
    of a text are those of its words with their spaces. Texts are then cut at these spaces, and the count of every word
    is kept: most words of a large data set come again. Other tokenizers read each text whole.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.cuts_at_spaces = begins_pieces_at_spaces(json.loads(tokenizer.to_str()))
        self._first: dict[str, int] = {}
        self._behind_space: dict[str, int] = {}

    def count(self, texts: Sequence[str]) -> np.ndarray:
        """The number of tokens of each text: (N,)."""
        if not self.cuts_at_spaces or not texts:
            return self._encoded(texts)
        if max(len(self._first), len(self._behind_space)) > _MOST_WORDS:
            self._first.clear()
            self._behind_space.clear()
        parts = compute.split_pattern(pa.array(texts, pa.large_string()), " ")
        starts = parts.offsets.to_numpy()[:-1]
        coded = parts.flatten().dictionary_encode()
        words, numbers = coded.dictionary.to_pylist(), coded.indices.to_numpy()
        behind = self._look_up(self._behind_space, words, " ")
        first = self._look_up(self._first, [words[number] for number in numbers[starts]], "")
        counts = np.add.reduceat(behind[numbers], starts) - behind[numbers[starts]] + first
        for at in np.flatnonzero(_irregular(words, numbers, starts)).tolist():
            counts[at] = self._count_cut(texts[at])
        return counts

    def _count_cut(self, text: str) -> int:
        first, *others = _CUT.split(text)
        counts = self._look_up(self._behind_space, [part[1:] for part in others], " ")
        return int(self._look_up(self._first, [first], "")[0] + counts.sum())

    def _look_up(self, known: dict[str, int], words: Sequence[str], before: str) -> np.ndarray:
        new = list({word for word in words if word not in known})
        known.update(zip(new, self._encoded([before + word for word in new]).tolist(), strict=True))
        return np.fromiter(map(known.__getitem__, words), dtype=np.int64, count=len(words))

    def _encoded(self, texts: Sequence[str]) -> np.ndarray:
        counts: list[int] = []
        for start in range(0, len(texts), _BATCH):
            encoded = self._tokenizer.encode_batch_fast(texts[start : start + _BATCH], add_special_tokens=False)
            counts += map(len, encoded)
        return np.array(counts, dtype=np.int64)


def _irregular(words: Sequence[str], numbers: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Whether a text has white space beside one of its spaces, or ends with a space: it is cut at fewer spaces."""
    ends = np.array([word[-1:].isspace() for word in words])
    begins = np.array([not word or word[0].isspace() for word in words])
    first = np.zeros(len(numbers), dtype=bool)
    first[starts] = True
    return np.logical_or.reduceat(ends[numbers] | (begins[numbers] & ~first), starts)


def begins_pieces_at_spaces(tokenizer: JsonObject) -> bool:
    """Whether a tokenizer.json begins a new piece at each single space between other characters."""
    model, normalizer = tokenizer.get("model") or {}, tokenizer.get("normalizer")
    if model.get("type") != "BPE" or model.get("dropout") or normalizer not in (None, {"type": "NFC"}):
        return False
    added = tokenizer.get("added_tokens") or []
    if any(one.get("rstrip") or one.get("single_word") or " " in one["content"] for one in added):
        return False
    before = tokenizer.get("pre_tokenizer") or {}
    steps = before.get("pretokenizers", []) if before.get("type") == "Sequence" else [before]
    return bool(steps) and all(map(_keeps_spaces, steps)) and any(map(_cuts, steps))


def _keeps_spaces(step: JsonObject) -> bool:
    """Whether a step treats a word the same whatever stands before the space in front of it."""
    if step.get("type") == "ByteLevel":
        return not step.get("add_prefix_space")
    return step.get("type") == "Digits" or _is_known_split(step)


def _cuts(step: JsonObject) -> bool:
    return _is_known_split(step) or (step.get("type") == "ByteLevel" and bool(step.get("use_regex", True)))


def _is_known_split(step: JsonObject) -> bool:
    known = step.get("type") == "Split" and step.get("behavior") == "Isolated" and not step.get("invert")
    return known and (step.get("pattern") or {}).get("Regex") in _PATTERNS
