"""From raw rows to records, in batches: a process hands on numbers, and writes the texts to a scratch file."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline.data.raw_rows import FieldRows, RawRows
from pipeline.data.record_store import Packer, StoredRecord
from pipeline.data.records import fold, is_storable, record_id
from pipeline.data.splits import unit_hash
from pipeline.params.data import Data
from pipeline.reading.entries import Entry, read_entries
from pipeline.reading.record import Record
from pipeline.reading.styles import Style, Written
from pipeline.reading.votes import Vote
from pipeline.reading.written_prompts import WrittenPrompt
from pipeline.scratch import ScratchFile

BATCH = 2_000
"""Rows that a process reads at once."""
_NOT_STORABLE = re.compile("[\ud800-\udfff\0]")
_SHOWN = 20
"""Characters that are shown before and behind one that cannot be stored."""
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


@dataclass(frozen=True)
class ReadEntries:
    """The entries that a batch of raw rows gave."""

    entries: list[tuple[tuple[int, ...], str, str]]
    """For each entry the numbers of its raw rows, its fate, and what was seen; one without a fate is a record."""
    table: np.ndarray
    """The numbers of the records among the entries, in their order, see NUMBERS."""
    votes: list[tuple[Vote, ...]]
    written: Written
    """What the style has written, see `Written`."""


@dataclass(frozen=True)
class RecordReader:
    """Reads rows of sources in which each row stands for itself."""

    sources: Sequence[RawRows]
    seed: int
    file: ScratchFile
    """Where the texts are written."""

    def __call__(self, batch: tuple[int, range]) -> ReadEntries:
        """Read a batch: the number of a source, and the positions of some of its rows."""
        number, positions = batch
        source = self.sources[number]
        assert isinstance(source.rows, FieldRows), "rows that can be read from any process"
        rows = source.rows[positions.start : positions.stop]
        entries = read_entries(rows, source.data, source.style, first=positions.start + 1)
        return pack_entries(entries, source, seed=self.seed, file=self.file)


def read_whole(source: RawRows, *, seed: int, file: ScratchFile) -> Iterator[ReadEntries]:
    """All entries of a source, `BATCH` at a time; an entry that several rows make together is joined first."""
    entries = read_entries(source.rows, source.data, source.style, file=file)
    while some := list(islice(entries, 1)):
        yield pack_entries([*some, *islice(entries, BATCH - 1)], source, seed=seed, file=file)


def pack_entries(entries: Iterable[Entry], source: RawRows, *, seed: int, file: ScratchFile) -> ReadEntries:
    """Write the texts of entries to a scratch file, and return everything else about them."""
    packer, kept, votes = Packer(file), list[tuple[tuple[int, ...], str, str]](), list[tuple[Vote, ...]]()
    for entry in entries:
        if entry.votes:
            votes.append(entry.votes)
        fate, seen = _fate(entry)
        kept.append((entry.rows, fate, seen))
        if entry.record is not None and not fate:
            record = _complete(entry.record, source.data, source.style)
            record["category"] = entry.category
            folded = fold(record["prompt"])
            packer.add(
                record,
                hashed=unit_hash(seed, folded),
                folded=folded,
                beyond_share=source.share < 1 and unit_hash(seed, f"share/{folded}") >= source.share,
            )
    return ReadEntries(kept, packer.table(), votes, source.style.has_written)


def _fate(entry: Entry) -> tuple[str, str]:
    """The fate of an entry that is no record, and what was seen; both are empty for a record."""
    if entry.record is None:
        return f"{'unused' if entry.unused else 'dropped'}.{entry.reason}", entry.seen
    for text in entry.record.values():
        if isinstance(text, str) and not is_storable(text):
            # no bytes of the file are wrong: an escape such as \ud83d stands there without its other half
            return f"dropped.{'nul_character' if chr(0) in text else 'lone_surrogate'}", _around(text)
    return "", ""


def _around(text: str) -> str:
    """The text around the first character that no file can hold, which is written as an escape."""
    found = _NOT_STORABLE.search(text)
    at = found.start() if found else 0
    return repr(text[max(0, at - _SHOWN) : at + _SHOWN])


def _complete(record: Record, data: Data, style: Style) -> StoredRecord:
    """The record with its id, and with prompt and response where it is a plain text or a pair."""
    if "text" in record:
        return _cut_text(record, data, style)
    stored: StoredRecord
    if "chosen" in record:
        identity = record_id(record["prompt"], record["chosen"], record["rejected"])
        stored = {**record, "id": identity, "response": record["chosen"], "ended": True}
    else:
        stored = {**record, "id": record_id(*map(str, record.values())), "ended": True}
    if isinstance(prompt := record["prompt"], WrittenPrompt):
        stored["prompt"] = str(prompt)
        if prompt.lost:
            stored["turns_lost"] = prompt.lost
        else:
            stored["turns"] = [list(turn) for turn in prompt.turns]
    return stored


def _cut_text(record: Record, data: Data, style: Style) -> StoredRecord:
    words = _LINE_BREAK.sub(" ", record["text"]).split()
    prompt, response = words[: data.prompt_words], words[data.prompt_words :]
    written = style.continuation(" ".join(prompt), " ".join(response[: data.response_words]))
    return {
        **record,
        "id": record_id(record["text"]),
        "text": " ".join(words),
        "prompt": written[0],
        "response": written[1],
        "ended": len(response) <= data.response_words,
        "short": len(words) < data.min_words,
    }
