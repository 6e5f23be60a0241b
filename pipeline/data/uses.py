"""What each use gets of the records: labels, texts, prompts and pairs, each row made when it is asked for."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from pipeline.data.record_store import Has, RecordStore, StoredRecord
from pipeline.data.records import fold
from pipeline.data.splits import HELD_OUT, PAIR_SPLITS, held_out_edge, unit_hash
from pipeline.data.table_rows import LabelRow, PromptRow, TextRow
from pipeline.data.views import View
from pipeline.params.data import Data

_JUDGE_HELD_OUT = 0.1
_PROMPTED = (*PAIR_SPLITS, "evaluation")
Paired = Sequence[tuple[str, StoredRecord]]
"""Records that say which of two responses is preferred, each behind the name of its split."""


def measures_judge(store: RecordStore, numbers: np.ndarray, *, seed: int) -> np.ndarray:
    """Which records of the judge's split measure it; the others fit it. All records of a prompt are on one side.

    Args:
        store: all records.
        numbers: the numbers of the records that the split uses: (records,).
        seed: the seed of the hashes.

    Returns:
        (records,) booleans.
    """
    # by a hash of its own: the split hash of these records fills only part of [0, 1)
    hashes = np.array([unit_hash(seed, f"judge/{fold(store[number]['prompt'])}") for number in numbers.tolist()])
    return hashes < held_out_edge(hashes.tolist(), _JUDGE_HELD_OUT)


class Uses:
    """The rows that each use gets of the records.

    A judge or SFT without a share learns from the train split; the judge is then measured on the test split.
    """

    def __init__(
        self,
        store: RecordStore,
        used: Mapping[str, np.ndarray],
        judged: np.ndarray,
        data: Data,
        *,
        leaked: Iterable[int] = (),
    ) -> None:
        """Args:
        store: all records.
        used: the numbers of the records that each split uses, in their order.
        judged: which of the judge's records measure it, see `measures_judge`: (records of the judge,) booleans.
        data: the settings, with a number in each of `data.splits`.
        leaked: the numbers of the held-out records that were dropped because they nearly repeat others.
        """
        self._store, self._used, self._judged, self._data = store, used, judged, data
        self._leaked = leaked

    def labels(self) -> dict[str, Sequence[LabelRow]]:
        """Labels of the judge, for train and test. A pair gives two texts, and the chosen one is labelled 1."""
        if self._data.splits.judge == 0:
            known = {name: self._with(self._used[name], Has.LABEL | Has.PAIR) for name in ("train", "test")}
            return {name: self._labelled(numbers) for name, numbers in known.items()}
        numbers = self._used["judge"]
        return {"train": self._labelled(numbers[~self._judged]), "test": self._labelled(numbers[self._judged])}

    def texts(self) -> dict[str, Sequence[TextRow]]:
        """Prompts with a response: train and validation for SFT, and evaluation."""
        if self._data.splits.sft == 0:
            train = self._different_texts(self._with(self._used["train"], Has.RESPONSE))
        else:
            train = self._with(self._used["sft"], Has.RESPONSE)
        validation = self._different_texts(self._with(self._used["validation"], Has.RESPONSE))
        evaluation = self._with(self._used["evaluation"], Has.RESPONSE)
        numbers = {"train": train, "validation": validation, "evaluation": evaluation}
        return {name: View(rows, partial(_text, self._store), self._sizes(rows)) for name, rows in numbers.items()}

    def prompts(self) -> dict[str, Sequence[PromptRow]]:
        """The prompts of each split, each once."""
        keys, found = self._store.numbers["prompt"], dict[str, Sequence[PromptRow]]()
        for split in _PROMPTED:
            numbers = self._used[split]
            _, first = np.unique(keys[numbers], return_index=True)
            own = numbers[np.sort(first)]
            found[split] = View(own, partial(_prompt, self._store), self._sizes(own))
        return found

    def paired(self) -> Paired:
        """Records with a given preference, split by split."""
        parts = [self._with(self._used[split], Has.PAIR) for split in PAIR_SPLITS]
        splits = np.repeat(np.arange(len(PAIR_SPLITS)), [len(part) for part in parts])
        numbers = np.concatenate(parts)
        return View(np.arange(len(numbers)), partial(_paired, self._store, numbers, splits), self._sizes(numbers))

    def lost_categories(self) -> list[str]:
        """Categories in train that have no held-out record left, and had some before the leaks were dropped."""
        lost = self._categories(self._leaked)
        for split in HELD_OUT:
            lost -= self._categories(self._used[split].tolist()) if lost else set()
        return sorted(lost & self._categories(self._used["train"].tolist())) if lost else []

    def _categories(self, numbers: Iterable[int]) -> set[str]:
        return {self._store[number]["category"] for number in numbers}

    def glued_pairs(self) -> int:
        """How many pairs have a response that begins right behind the last letter of the prompt."""
        return sum(len(self._with(self._used[split], Has.GLUED)) for split in PAIR_SPLITS)

    def _with(self, numbers: np.ndarray, flags: Has) -> np.ndarray:
        return numbers[self._store.numbers["has"][numbers] & int(flags) != 0]

    def _different_texts(self, numbers: np.ndarray) -> np.ndarray:
        """The records without repeated texts: of equal ones the last record, in the position of the first."""
        keys = self._store.numbers["texts"][numbers]
        _, first, same = np.unique(keys, return_index=True, return_inverse=True)
        last = np.zeros(len(first), dtype=np.int64)
        np.maximum.at(last, same, np.arange(len(numbers)))
        return numbers[last[np.argsort(first)]]

    def _labelled(self, numbers: np.ndarray) -> Sequence[LabelRow]:
        sides = np.where(self._store.numbers["has"][numbers] & int(Has.LABEL), 1, 2)
        # each record as often as it gives rows, with the number of the row
        records = np.repeat(numbers, sides)
        rows = np.arange(len(records)) - np.repeat(np.cumsum(sides) - sides, sides)
        return View(np.arange(len(records)), partial(_label, self._store, records, rows), self._sizes(records))

    def _sizes(self, numbers: np.ndarray) -> np.ndarray:
        return self._store.numbers["size"][numbers]


# makers of rows, by their position in a view; another process can make them, too


def _text(store: RecordStore, number: int) -> TextRow:
    record = store[number]
    row: TextRow = {name: record[name] for name in ("id", "prompt", "response", "ended")}  # type: ignore[assignment]
    if "chosen" in record:
        row["preferred"] = True
    if turns := record.get("turns"):
        row["turns"] = turns
    if lost := record.get("turns_lost"):
        row["turns_lost"] = lost
    return row


def _prompt(store: RecordStore, number: int) -> PromptRow:
    record = store[number]
    return {"id": record["id"], "prompt": record["prompt"], "category": record["category"]}


def _label(store: RecordStore, records: np.ndarray, rows: np.ndarray, at: int) -> LabelRow:
    record, rejected = store[int(records[at])], bool(rows[at])
    if "label" in record:
        return {"id": record["id"], "text": record["text"], "label": record["label"]}
    text = record["prompt"] + (record["rejected"] if rejected else record["chosen"])
    # texts of one prompt are judged alike more often than others: whoever counts them has to know
    return {"id": record["id"], "text": text, "label": int(not rejected), "prompt": record["prompt"]}


def _paired(store: RecordStore, numbers: np.ndarray, splits: np.ndarray, at: int) -> tuple[str, StoredRecord]:
    return PAIR_SPLITS[splits[at]], store[int(numbers[at])]
