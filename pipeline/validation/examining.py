"""Examines pairs in batches, in several processes: which rules each breaks by itself, and what is kept of it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.data.batches import batches_of
from pipeline.data.record_files import RecordFile
from pipeline.params.schema import ValidatePreferences
from pipeline.preferences.pair import RawPair
from pipeline.processes import map_in_processes
from pipeline.progress import progress_bar
from pipeline.validation.context_length import MeasuredPairs
from pipeline.validation.facts import TEXTS, Facts, facts_of
from pipeline.validation.findings import Findings
from pipeline.validation.minhash import band_keys
from pipeline.validation.pair_rules import as_cells, as_keys, as_typed, field_rules, pair_rules, text_rules
from pipeline.validation.set_rules import KEYS

_BATCH = 2_000
_ALONE = 10_000
"""Fewer rows are examined before another process has started."""


class Meter(Protocol):
    """Counts the tokens of pairs; see `PairMeter`."""

    def measure(self, rows: Sequence[RawPair]) -> MeasuredPairs: ...


@dataclass(frozen=True)
class Examined:
    """What is kept of the pairs of a batch, so that their texts need not stay in memory."""

    found: Findings
    facts: np.ndarray
    """The facts of each row, see FACTS: (N,)."""
    files: list[str]
    """The names of the files, by their number in the facts."""
    keys: np.ndarray
    """The keys of the rows that no rule rejects, see KEYS."""


@dataclass(frozen=True)
class Examiner:
    """Rounds 1 to 3 of the contract on a batch."""

    rows: Sequence[RawPair]
    settings: ValidatePreferences
    meter: Meter | None
    templated: bool

    def __call__(self, batch: range) -> Examined:
        """Examine the rows at these positions."""
        rows = _part(self.rows, batch)
        found = Findings.none(len(rows))
        # where long pairs are dropped, not cut, only rows that no other rule has refused are measured
        refuses = self.settings.over_context == "drop"
        measured = self._measure(rows) if not refuses else MeasuredPairs(list(rows), [0] * len(rows))
        reject = self.settings.reject
        cells = found.refuse(field_rules(), as_cells(measured.rows, batch.start), reject, first=batch.start)
        rules = text_rules(self.settings, templated=self.templated)
        typed = found.refuse(rules, as_typed(cells), reject, first=batch.start)
        left = typed.index.to_numpy() - batch.start
        tokens = np.array(measured.tokens, dtype=np.int32)
        if refuses:
            tokens[left] = self._measure([rows[number] for number in left]).tokens
        facts, files = self._facts(rows, measured.rows, tokens, batch)
        pairs = as_keys(typed, tokens[left], [facts.comparable[number] for number in left])
        pairs = found.refuse(pair_rules(self.settings), pairs, reject, first=batch.start)
        keys = np.zeros(len(pairs), dtype=KEYS)
        left = pairs.index.to_numpy() - batch.start
        keys["position"] = pairs.index
        for name in ("id", "forward", "backward"):
            keys[name] = pairs[name]
        for name in ("split", "prompt"):
            keys[name] = facts.table[name][left]
        keys["bands"], keys["has_trigram"] = band_keys([as_one_text(measured.rows[number]) for number in left])
        return Examined(found, facts.table, files, keys)

    def _measure(self, rows: Sequence[RawPair]) -> MeasuredPairs:
        return self.meter.measure(rows) if self.meter else MeasuredPairs(list(rows), [0] * len(rows))

    def _facts(
        self, rows: Sequence[RawPair], measured: Sequence[RawPair], tokens: np.ndarray, batch: range
    ) -> tuple[Facts, list[str]]:
        files: dict[str, int] = {}
        facts = facts_of(measured, files)
        facts.table["tokens"] = tokens
        for number, (row, cut) in enumerate(zip(rows, measured, strict=True)):
            if cut is not row:
                facts.table["cut_tokens"][number] = cut["prompt_truncated"]
                facts.table["cut_characters"][number] = len(row["prompt"]) - len(cut["prompt"])
        if isinstance(self.rows, RecordFile):
            lines = self.rows.lines(batch.start, batch.stop)
            facts.table["as_written"] = [
                json.dumps(row, sort_keys=True).encode() == line for row, line in zip(rows, lines, strict=True)
            ]
        return facts, list(files)


def as_one_text(row: RawPair) -> str:
    """Prompt and responses of a pair as one text, by which near duplicates are found."""
    return "\n".join(row[name] for name in TEXTS)


def examine_all(examiner: Examiner, *, processes: int) -> Examined:
    """Examine all rows in batches; the result does not depend on where a batch ends.

    Args:
        examiner: with a `RecordFile` as its rows, if several processes are to read them.
        processes: the most processes that examine.
    """
    rows, count = examiner.rows, len(examiner.rows)
    batches = batches_of(rows.sizes if isinstance(rows, RecordFile) else np.zeros(count), rows=_BATCH)
    if count < _ALONE or not isinstance(rows, RecordFile):
        processes = 1
    with progress_bar(total=count, title="pairs", unit="pair") as bar:
        return _joined(_counted(map_in_processes(examiner, batches, processes=processes), bar))


def _counted(parts: Iterable[Examined], bar: Any) -> Iterator[Examined]:
    for part in parts:
        bar.update(len(part.facts))
        yield part


def _joined(parts: Iterable[Examined]) -> Examined:
    bits, facts, keys = [], [], []
    files: dict[str, int] = {}
    for part in parts:
        numbers = np.array([files.setdefault(name, len(files)) for name in part.files], dtype=np.int32)
        part.facts["file"] = numbers[part.facts["file"]]
        bits.append(part.found.bits)
        facts.append(part.facts)
        keys.append(part.keys)
    return Examined(Findings(np.concatenate(bits)), np.concatenate(facts), list(files), np.concatenate(keys))


def _part(rows: Sequence[RawPair], batch: range) -> list[RawPair]:
    if isinstance(rows, RecordFile):
        return list(rows.part(batch.start, batch.stop))
    return list(rows[batch.start : batch.stop])
