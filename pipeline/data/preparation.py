"""From raw rows to texts, prompts and labels in prompt-disjoint splits; every dropped row is counted with a reason."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.data.fates import Fate, Fates
from pipeline.data.leakage import LEAKED, LeakScreen
from pipeline.data.raw_rows import FieldRows, RawRows, join_votes
from pipeline.data.record_reader import BATCH, ReadEntries, RecordReader, read_whole
from pipeline.data.record_store import Has, RecordStore
from pipeline.data.splits import HELD_OUT, SPLITS, lend_to_empty_splits, split_edges, splits_of
from pipeline.data.table_rows import LabelRow, PromptRow, TextRow
from pipeline.data.uses import Paired, Uses, measures_judge
from pipeline.params.data import Data
from pipeline.processes import map_in_processes
from pipeline.reading.entries import waits_for_all_rows
from pipeline.reading.votes import Vote

_ALONE = 10_000
"""Fewer rows are read before another process has started."""


@dataclass
class PreparedData:
    """What prepare_data writes. Rows have the `id` of their raw record, and are made when they are asked for."""

    labels: dict[str, Sequence[LabelRow]]
    """Texts and 0/1 labels for the judge: fitted on train, measured on test."""
    texts: dict[str, Sequence[TextRow]]
    """Prompts with a real response: SFT (train), and held-out perplexity (evaluation)."""
    prompts: dict[str, Sequence[PromptRow]]
    """The prompts of train, validation, test and evaluation."""
    different_prompts: int
    """How many different prompts the rows have that were not dropped as they were read."""
    paired: Paired
    """Records of train, validation and test that say which of two responses is preferred."""
    glued_pairs: int
    """How many pairs have a response that begins right behind the last letter of the prompt."""
    lost_categories: list[str]
    """Categories of prompts in train that have no held-out row left, because rows were dropped that repeat others."""
    counts: Counter[str]
    """How many entries have each fate: `used.SPLIT`, `unused.SPLIT` (over the limit), `unused.REASON` (nothing that
    the split needs, or beyond its source's share), `dropped.REASON`."""
    rows_of: dict[str, Counter[str]]
    """How many entries of each source have each fate."""
    fates: Sequence[Fate]
    """The fate of each raw row and entry: source, row, id (None where it has no text), fate, and what was seen."""
    noted_rows: int
    """How many raw rows have a fate."""
    votes: list[tuple[Vote, ...]]
    """What annotators said of each comparison."""
    uses: Uses = field(compare=False)
    """The same texts, prompts, labels and pairs, by their use."""
    divide: Callable[[Data], Uses] = field(compare=False)
    """Gives what each use would get of the same records with other shares and limits."""

    @property
    def dropped_share(self) -> float:
        """The share of all entries that is dropped; one raw row may give several entries."""
        dropped = sum(count for fate, count in self.counts.items() if fate.startswith("dropped."))
        return dropped / max(1, len(self.fates))


def prepare(
    sources: Iterable[RawRows],
    *,
    seed: int,
    scratch: Path | None = None,
    processes: int = 1,
    advance: Callable[[int], None] = lambda rows: None,
) -> PreparedData:
    """Sort every raw row into its split.

    The split is a hash of the prompt, so one prompt is never on two sides, and adding rows moves no other row. Only a
    split that would be empty, as those of a few dozen rows may be, borrows the prompt whose hash is nearest to it.
    Limits keep the records with the smallest hashes.

    Args:
        sources: the sources, with a number in each of `data.splits` and `data.limits`, see `fill_shares`.
        seed: the seed of the hashes.
        scratch: a folder for a temporary file as large as all texts together; None is the system's.
        processes: the most processes that read rows which stand for themselves; the result does not depend on it.
        advance: called with the number of rows that were read since its last call.
    """
    joined = list(join_votes(sources))
    gathered = _Gathered(RecordStore(scratch))
    with closing(_read(joined, gathered.store, seed=seed, processes=processes, advance=advance)) as parts:
        for source, part in parts:
            gathered.take(source, part)
    store, fates, data = gathered.store, gathered.fates, joined[-1].data
    uses = _divide(store, data, fates, seed=seed)
    return PreparedData(
        labels=uses.labels(),
        texts=uses.texts(),
        prompts=uses.prompts(),
        different_prompts=len(np.unique(store.numbers["folded"])),
        paired=uses.paired(),
        glued_pairs=uses.glued_pairs(),
        lost_categories=uses.lost_categories(),
        counts=fates.counts,
        rows_of=fates.by_source,
        fates=fates.in_order([name for source in joined for name in source.names or (source.name,)]),
        noted_rows=fates.rows,
        votes=gathered.votes,
        uses=uses,
        divide=lambda other: _divide(store, other, Fates(), seed=seed),
    )


def _divide(store: RecordStore, data: Data, fates: Fates, *, seed: int) -> Uses:
    """Divide the records among the splits and their uses, and note the fate of each."""
    edges = split_edges(data)
    splits = splits_of(store.numbers["hash"], edges)
    by_split = {split: np.flatnonzero(splits == at) for at, split in enumerate(SPLITS)}
    lend_to_empty_splits(by_split, store.numbers["hash"], edges)
    _, different = np.unique(store.numbers["folded"], return_index=True)
    screen = LeakScreen(
        store,
        {split: by_split[split] for split in HELD_OUT},
        prompts=different,
        threshold=data.leakage.threshold,
    )
    used, judged = {}, np.zeros(0, dtype=bool)
    for split in SPLITS:
        usable = _usable(store, by_split[split], split, fates, screen.leaks)
        taken = usable[: getattr(data.limits, split) or len(usable)]
        leaks: Mapping[int, str] = {}
        if split == "judge":
            judged = measures_judge(store, taken, seed=seed)
            leaks = _judge_leaks(store, taken, judged, different, data)
        _note_uses(store, usable, len(taken), split, leaks, fates)
        kept = np.array([number not in leaks for number in taken.tolist()], dtype=bool)
        used[split] = taken[kept]
        if split == "judge":
            judged = judged[kept]
        screen.look(split, used[split])
    return Uses(store, used, judged, data, leaked=screen.leaks)


def _judge_leaks(
    store: RecordStore, numbers: np.ndarray, judged: np.ndarray, different: np.ndarray, data: Data
) -> Mapping[int, str]:
    """Which records that the judge is measured on nearly repeat one that it is fitted on, with what they repeat."""
    screen = LeakScreen(store, {"test": numbers[judged]}, prompts=different, threshold=data.leakage.threshold)
    screen.look("judge", numbers[~judged])
    return screen.leaks


def _read(
    sources: Sequence[RawRows], store: RecordStore, *, seed: int, processes: int, advance: Callable[[int], None]
) -> Generator[tuple[RawRows, ReadEntries]]:
    """The entries of all sources, in their order, read by one process or several."""
    shared = [rows for source in sources if (rows := _shared_rows(source))]
    if processes == 1 or sum(map(len, shared)) < _ALONE:
        shared = []
    ranges = [[range(at, min(at + BATCH, len(rows))) for at in range(0, len(rows), BATCH)] for rows in shared]
    items = ((number, positions) for number, parts in enumerate(ranges) for positions in parts)
    reader = RecordReader([source for source in sources if _shared_rows(source)], seed, store.file)
    waiting = iter(ranges)
    with closing(map_in_processes(reader, items, processes=processes if shared else 1)) as found:
        for source in sources:
            if not shared or not _shared_rows(source):
                counted = replace(source, rows=_counted(source.rows, advance))
                yield from ((source, part) for part in read_whole(counted, seed=seed, file=store.file))
                continue
            for positions, part in zip(next(waiting), found, strict=False):
                source.style.note_written(part.written)
                yield source, part
                advance(len(positions))


def _shared_rows(source: RawRows) -> FieldRows | None:
    """The rows of a source where any process can read them one by one; None where it cannot."""
    rows = source.rows
    return rows if isinstance(rows, FieldRows) and rows.in_any_process and not waits_for_all_rows(source.data) else None


def _counted(rows: Iterable[object], advance: Callable[[int], None]) -> Iterator[object]:
    for row in rows:
        advance(1)
        yield row


@dataclass
class _Gathered:
    """What is kept of the entries of all sources."""

    store: RecordStore
    fates: Fates = field(default_factory=Fates)
    votes: list[tuple[Vote, ...]] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    """Ids of the records so far."""

    def take(self, source: RawRows, part: ReadEntries) -> None:
        """Keep the records that no earlier one repeats, and note what became of everything else."""
        self.votes += part.votes
        ids, beyond = part.table["id"].tolist(), part.table["beyond_share"].tolist()
        kept, places, at = [], [], 0
        for rows, fate, seen in part.entries:
            own = source.places(rows)
            if fate:
                self.fates.note(own, None, fate, seen)
                continue
            identity, at = ids[at], at + 1
            if identity in self.seen:
                self.fates.note(own, identity, "dropped.duplicate")
                continue
            self.seen.add(identity)
            if beyond[at - 1]:
                self.fates.note(own, identity, "unused.beyond_share")
                continue
            kept.append(at - 1)
            places.append(own)
        self.store.extend(part.table[kept], places)


def _usable(store: RecordStore, numbers: np.ndarray, split: str, fates: Fates, leaks: Mapping[int, str]) -> np.ndarray:
    """The records that a split has a use for, in the order of their hashes; one for each prompt of plain texts."""
    own = store.numbers[numbers]
    order = np.lexsort((own["id"], own["hash"]))
    usable: list[int] = []
    prompts: set[int] = set()
    of_each = (numbers[order].tolist(), *(own[name][order].tolist() for name in ("folded", "has")))
    for number, prompt, has in zip(*of_each, strict=True):
        if refusal := _refusal(has, split, repeated=prompt in prompts):
            fates.note(store.places(number), store.identity(number), refusal)
        elif number in leaks:
            fates.note(store.places(number), store.identity(number), LEAKED, leaks[number])
        else:
            prompts.add(prompt)
            usable.append(number)
    return np.array(usable, dtype=np.int64)


def _note_uses(
    store: RecordStore, usable: np.ndarray, limit: int, split: str, leaks: Mapping[int, str], fates: Fates
) -> None:
    """Note the fates of the records that a split has a use for: the first `limit` are used, unless they are leaks."""
    fates.counts.update({f"used.{split}": 0, f"unused.{split}": 0})  # said even where there are none
    for at, number in enumerate(usable.tolist()):
        fate = LEAKED if number in leaks else f"{'used' if at < limit else 'unused'}.{split}"
        fates.note(store.places(number), store.identity(number), fate, leaks.get(number, ""))


def _refusal(has: int, split: str, *, repeated: bool) -> str | None:
    """The fate of a record that its split has no use for.

    Args:
        has: what the record holds, as flags of `Has`.
        split: the split of its prompt.
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
