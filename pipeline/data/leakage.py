"""Held-out rows that nearly repeat what a run learns from: they are found by their words, and dropped.

A row is compared with every row of the splits before its own, in the order of `SPLITS`: what the judge, SFT and
policies learn from, then what checkpoints (validation) and reward models (test) are chosen by. A label that the judge
is measured on is compared with those that it is fitted on. A row repeats another one where

1. both prompts have the same words, or
2. `data.leakage.threshold` or more of the words of its prompt, or of its whole text, stand in runs of words that the
   other row has, too. For a text of `LONG` words or more, runs of three words count anywhere in the other row. The
   phrases of a long text would cover a shorter one by chance, so for it runs of three words count in the other prompt,
   and runs of eight words anywhere.

The measure is that of Lambert et al. 2024 (arXiv:2411.15124, section 3.2), whose runs have eight tokens. It is a share
of the held-out text alone and not an overlap of both (Jaccard), so that a prompt that is the beginning of a longer
conversation, or a part of a document, is found. Words that many rows share do not count: those of system messages,
and those of phrases that one in fifty of all prompts has, such as the instruction of a task.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from pipeline.data.covered_texts import LONG, NO_HASHES, RUN, Compared, CoveredTexts, Words, compared_words, hashes_of
from pipeline.data.record_store import RecordStore, StoredRecord
from pipeline.data.records import key_of
from pipeline.data.splits import HELD_OUT, SPLITS
from pipeline.reading.chats import Unreadable
from pipeline.reading.turn_marks import read_turns

LEAKED = "dropped.near_duplicate_across_splits"
"""Fate of a held-out row that nearly repeats another row."""
MIN_WORDS = 8
"""Fewest words of a prompt that is compared by runs: one phrase, such as `what is the name of`, is most of a shorter
one, so it repeats only a prompt of the same words."""
SHARED = 0.02
"""Share of the different prompts above which a trigram is of a template: low, because a data set may have many tasks,
each with an instruction of its own. At 0.005, phrases of 32,616 reviews count as templates, and 3 of 33 repeats are
missed."""
_FEW = 20
"""Prompts that may have a trigram that is of no template: among few rows, two near duplicates exceed `SHARED`."""
_BLOCK = 2**15
"""Words that are compared at once; their arrays fit into a core's cache."""


def advise_of_leaks(counts: Mapping[str, int], split: str) -> str:
    """What to do about a split with too few prompts, as a sentence after a space; empty where no row has leaked.

    Args:
        counts: how many entries have each fate.
        split: the name of the split.
    """
    if split not in HELD_OUT or not counts.get(LEAKED):
        return ""
    return (
        f" {counts[LEAKED]} held-out rows were dropped because they nearly repeat rows that are learnt from: raise "
        "data.leakage.threshold, up to 1, where they are new all the same."
    )


class LeakScreen:
    """Finds the held-out records that nearly repeat others, in as much memory as the held-out texts take."""

    def __init__(
        self,
        store: RecordStore,
        held_out: Mapping[str, np.ndarray],
        *,
        prompts: np.ndarray,
        threshold: float | None,
    ) -> None:
        """Args:
        store: all records.
        held_out: the numbers of the records that may repeat others, by their split.
        prompts: the number of one record of each different prompt, from which templates are found.
        threshold: `data.leakage.threshold`, in (0, 1]; None finds nothing.
        """
        self.leaks: dict[int, str] = {}
        """What each record that was found repeats, in words, by the number of the record."""
        self._store = store
        self._ranks: dict[int, int] = {}
        self._same: dict[int, list[int]] = {}
        """Numbers of the records whose prompts have the same words, by a key of these."""
        self._records: list[list[int]] = []
        """Numbers of the records of each text that is compared."""
        if threshold is None:
            return
        self._ranks = {int(number): SPLITS.index(split) for split, of in held_out.items() for number in of}
        for number in self._ranks:
            self._same.setdefault(_prompt_key(store[number]), []).append(number)
        template = _template_trigrams(store, self._ranks, prompts)
        self._records = [*self._same.values(), *([number] for number in self._ranks)]
        asked = [(compared_words(_asked(store[records[0]])), MIN_WORDS) for records in self._same.values()]
        whole = [(compared_words(_measured(store[number])), LONG) for number in self._ranks]
        texts = [
            Compared(at, words, own)
            for at, (words, least) in enumerate([*asked, *whole])
            if (own := ~_in_trigrams(words, template)).sum() >= least
        ]
        self._texts = CoveredTexts(texts, template, threshold=threshold)

    def look(self, split: str, numbers: np.ndarray) -> None:
        """Note which held-out records of later splits nearly repeat one of these; of several, the first is named.

        Args:
            split: the split of these records.
            numbers: the numbers of the used ones, in an order that does not depend on that of the raw rows.
        """
        left = {number for number, rank in self._ranks.items() if rank > SPLITS.index(split)} - self.leaks.keys()
        if not left:
            return
        different: dict[int, int] = {}
        for number in numbers.tolist():
            different.setdefault(_prompt_key(self._store[number]), number)
        for key, number in different.items():
            self._note(
                self._same.get(key, ()), f"its prompt has the words of that of {self._name(number, split)}", left
            )
        for whole, text, records in ((False, _asked, different.values()), (True, _document, numbers.tolist())):
            for block in _blocks(self._store, records, text):
                others = [words for _, words in block]
                for at, found, share in self._texts.find(
                    others, whole=whole, asked=lambda held: not left.isdisjoint(self._records[held])
                ):
                    where = self._name(block[at][0], split)
                    self._note(self._records[found.number], f"{share:.0%} of its words are in {where}", left)

    def _name(self, number: int, split: str) -> str:
        return f"record {self._store.identity(number):016x} of {split}"

    def _note(self, held: Iterable[int], what: str, left: set[int]) -> None:
        for number in left.intersection(held):
            self.leaks[number] = what
            left.remove(number)


def _prompt_key(record: StoredRecord) -> int:
    """Equal for prompts of the same words, system messages among them."""
    words = compared_words(record["prompt"])
    return key_of(b" ".join(words).decode() if words else record["prompt"])


def _asked(record: StoredRecord) -> str:
    """The prompt without system messages, which many rows share, and without the marks of turns."""
    try:
        turns = read_turns(record["prompt"])
    except Unreadable:
        turns = None
    if turns is None:
        return str(record["prompt"])
    return "\n".join(message.content for message in turns[0] if message.role != "system")


def _document(record: StoredRecord) -> str:
    """All text of a record that a model may learn from."""
    if "text" in record:
        return str(record["text"])
    sides = [str(record[name]) for name in ("chosen", "rejected") if name in record] or [record.get("response", "")]
    return "\n".join([_asked(record), *sides])


def _measured(record: StoredRecord) -> str:
    """The text of a held-out record that measurements read, such as perplexity."""
    return str(record["text"]) if "text" in record else f"{_asked(record)}\n{record.get('response', '')}"


def _in_trigrams(words: Words, among: np.ndarray) -> np.ndarray:
    """Which words stand in a trigram whose hash is in `among`: (words,) booleans."""
    inside = np.zeros(len(words), dtype=bool)
    if len(among):
        for at in np.flatnonzero(np.isin(hashes_of([words])[0], among)).tolist():
            inside[at : at + RUN] = True
    return inside


def _template_trigrams(store: RecordStore, held_out: Iterable[int], prompts: np.ndarray) -> np.ndarray:
    """Hashes of the trigrams of held-out prompts that more than `SHARED` of the different prompts have."""
    if len(prompts) <= _FEW:
        return NO_HASHES
    asked = [words for block in _blocks(store, held_out, _asked) for _, words in block]
    known = np.unique(np.concatenate([NO_HASHES, *hashes_of(asked)]))
    counts = np.zeros(len(known) + 1, dtype=np.int64)
    for block in _blocks(store, prompts.tolist(), _asked):
        hashes = hashes_of([words for _, words in block])
        joined, prompt = np.concatenate(hashes), np.repeat(np.arange(len(hashes)), [len(each) for each in hashes])
        at, met = np.searchsorted(known, joined), np.isin(joined, known)
        once = np.unique(prompt[met] * len(counts) + at[met]) % len(counts)
        counts += np.bincount(once, minlength=len(counts))
    return known[counts[:-1] > max(_FEW, SHARED * len(prompts))]


def _blocks(
    store: RecordStore, numbers: Iterable[int], text: Callable[[StoredRecord], str]
) -> Iterator[list[tuple[int, Words]]]:
    """The number of each record with the words of its text, in blocks of about `_BLOCK` words."""
    block: list[tuple[int, Words]] = []
    size = 0
    for number in numbers:
        words = compared_words(text(store[number]))
        block.append((number, words))
        size += len(words)
        if size >= _BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block
