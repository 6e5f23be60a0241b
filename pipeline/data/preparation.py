"""Raw rows to texts, prompts and labels in prompt-disjoint splits; every dropped row is counted with a reason."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.fates import Fates
from pipeline.data.raw_rows import RawRows, join_votes
from pipeline.data.record_store import Has, RecordStore
from pipeline.data.records import fold, is_storable, record_id
from pipeline.data.splits import SPLITS, lend_to_empty_splits, split_edges, split_of, unit_hash
from pipeline.data.uses import Rows, Uses
from pipeline.params.data import Data
from pipeline.reading.entries import read_entries
from pipeline.reading.styles import Style
from pipeline.reading.verdicts import Vote

_SIDES = ("chosen", "rejected")
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


@dataclass
class PreparedData:
    """What prepare_data writes. Rows have the `id` of their raw record, and are made when they are asked for."""

    labels: dict[str, Rows]
    """Texts and 0/1 labels for the judge: fitted on train, measured on test."""
    texts: dict[str, Rows]
    """Prompts with a real response: SFT (train), and held-out perplexity (evaluation)."""
    prompts: dict[str, Rows]
    """Of train, validation, test and evaluation."""
    different_prompts: int
    """Among all rows that were not dropped as they were read."""
    pairs: Rows
    """Preferences as given; empty where the sources have none."""
    glued_pairs: int
    """Those with a response that begins right behind the last letter of the prompt."""
    counts: Counter[str]
    """Entries by what became of them: `used.SPLIT`, `unused.SPLIT` (over the limit), `unused.REASON` (nothing that
    the split needs, or beyond its source's share), `dropped.REASON`."""
    rows_of: dict[str, Counter[str]]
    """The same for each source."""
    fates: Rows
    """The same for each raw row and entry: source, row, id (None where it has no text), fate, and what was seen."""
    noted_rows: int
    """Raw rows that have a fate."""
    votes: list[tuple[Vote, ...]]
    """What annotators said of each comparison."""


def prepare(sources: Iterable[RawRows], *, seed: int, scratch: Path | None = None) -> PreparedData:
    """Sort every raw row into its split.

    The split is a hash of the prompt, so one prompt is never on two sides, and adding rows moves no other row. Only a
    split that would be empty, as those of a few dozen rows may be, borrows the prompt whose hash is nearest to it.
    Limits keep the records with the smallest hashes.

    Args:
        sources: with a number in each of `data.splits` and `data.limits`, see `fill_shares`.
        seed: of the hashes.
        scratch: a folder for a temporary file as large as all texts together; None is the system's.
    """
    store, fates, votes = RecordStore(scratch), Fates(), list[tuple[Vote, ...]]()
    read = {split: array("Q") for split in SPLITS}
    seen: set[int] = set()
    names: list[str] = []
    data: Data | None = None
    for source in join_votes(sources):
        names += source.names or (source.name,)
        data, edges = source.data, split_edges(source.data)
        for record in _read(source, fates, votes):
            whence = (record["places"], record["id"])
            if (identity := int(record["id"], 16)) in seen:
                fates.note(*whence, "dropped.duplicate")
                continue
            seen.add(identity)
            folded = fold(record["prompt"])
            hashed = unit_hash(seed, folded)
            if source.share < 1 and unit_hash(seed, f"share/{folded}") >= source.share:
                fates.note(*whence, "unused.beyond_share")
                continue
            read[split_of(hashed, edges)].append(store.add(record, hashed=hashed, folded=folded))
    assert data is not None, "there is a source"
    by_split = {split: np.array(numbers, dtype=np.int64) for split, numbers in read.items()}
    lend_to_empty_splits(by_split, store.hashes, split_edges(data))
    used = {split: _limited(store, numbers, split, data, fates) for split, numbers in by_split.items()}
    uses = Uses(store, used, data, seed=seed)
    return PreparedData(
        labels=uses.labels(),
        texts=uses.texts(),
        prompts=uses.prompts(),
        different_prompts=len(np.unique(store.folded)),
        pairs=uses.pairs(),
        glued_pairs=uses.glued_pairs(),
        counts=fates.counts,
        rows_of=fates.by_source,
        fates=fates.in_order(names),
        noted_rows=fates.rows,
        votes=votes,
    )


def _read(source: RawRows, fates: Fates, votes: list[tuple[Vote, ...]]) -> Iterator[dict[str, Any]]:
    for entry in read_entries(source.rows, source.data, source.style):
        if entry.votes:
            votes.append(entry.votes)
        if entry.record is None:
            fate = f"{'unused' if entry.unused else 'dropped'}.{entry.reason}"
            fates.note(source.places(entry.rows), None, fate, entry.seen)
        elif not all(is_storable(text) for text in entry.record.values() if isinstance(text, str)):
            fates.note(source.places(entry.rows), None, "dropped.not_utf8")
        else:
            # beside the record, whose texts are its id
            known = {"places": source.places(entry.rows), "category": entry.category}
            yield {**_complete(entry.record, source.data, source.style), **known}


def _complete(record: dict[str, Any], data: Data, style: Style) -> dict[str, Any]:
    """The record with its id, and with a prompt and a response where it has other texts."""
    if "text" in record:
        return _cut_text(record, data, style)
    if "chosen" in record:
        texts = [record[name] for name in ("prompt", *_SIDES)]
        return {**record, "id": record_id(*texts), "response": record["chosen"], "ended": True}
    return {**record, "id": record_id(*record.values()), "ended": True}


def _cut_text(record: dict[str, Any], data: Data, style: Style) -> dict[str, Any]:
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


def _limited(store: RecordStore, numbers: np.ndarray, split: str, data: Data, fates: Fates) -> np.ndarray:
    """The records of a split that are used, in the order of their hashes, one a prompt where prompts are sampled."""
    hashes, ids, has, folded = store.hashes, store.ids, store.has, store.folded
    usable: list[int] = []
    prompts: set[int] = set()
    for number in numbers[np.lexsort((ids[numbers], hashes[numbers]))].tolist():
        prompt = int(folded[number])
        if refusal := _refusal(Has(int(has[number])), split, repeated=prompt in prompts):
            fates.note(store.places(number), store.identity(number), refusal)
        else:
            prompts.add(prompt)
            usable.append(number)
    limit = getattr(data.limits, split) or len(usable)
    fates.counts.update({f"used.{split}": 0, f"unused.{split}": 0})  # said even where there are none
    for at, number in enumerate(usable):
        fate = f"{'used' if at < limit else 'unused'}.{split}"
        fates.note(store.places(number), store.identity(number), fate)
    return np.array(usable[:limit], dtype=np.int64)


def _refusal(has: Has, split: str, *, repeated: bool) -> str | None:
    """The fate of a record that its split has no use for.

    Args:
        has: what the record holds.
        split: of its prompt.
        repeated: another record of the split has its prompt.
    """
    if split == "judge":
        return None if has & (Has.LABEL | Has.PAIR) else "unused.without_label"
    if has & Has.SHORT:
        return "dropped.too_few_words"
    if has & Has.TEXT and repeated:
        return "dropped.repeated_prompt"
    if split == "sft" and not has & Has.RESPONSE:
        return "unused.without_response"
    return None
