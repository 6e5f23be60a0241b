"""Raw rows to texts, prompts and labels in prompt-disjoint splits; every dropped row is counted with a reason."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.data.raw_rows import Place, RawRows, join_votes
from pipeline.data.records import fold, is_storable, record_id
from pipeline.data.splits import SPLITS, held_out_edge, lend_to_empty_splits, split_of, unit_hash
from pipeline.params.schema import Data
from pipeline.reading.entries import read_entries
from pipeline.reading.pairs import SCORES
from pipeline.reading.styles import Style
from pipeline.reading.verdicts import Vote

_JUDGE_HELD_OUT = 0.1
_SIDES = ("chosen", "rejected")
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


@dataclass
class PreparedData:
    """What prepare_data writes. Rows are dictionaries with an `id` of their raw record."""

    labels: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"train": [], "test": []})
    """Texts and 0/1 labels for the judge: fitted on train, measured on test."""
    texts: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"train": [], "evaluation": []})
    """Prompts with a real response: SFT, and held-out perplexity."""
    prompts: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {split: [] for split in ("train", "validation", "test", "evaluation")}
    )
    pairs: list[dict[str, Any]] = field(default_factory=list)
    """Preferences as given; empty where the sources have none."""
    counts: Counter[str] = field(default_factory=Counter)
    """Entries by what became of them: `used.SPLIT`, `unused.SPLIT` (over the limit), `unused.REASON` (nothing that
    the split needs, or beyond its source's share), `dropped.REASON`."""
    rows_of: dict[str, Counter[str]] = field(default_factory=dict)
    """The same for each source."""
    fates: list[dict[str, Any]] = field(default_factory=list)
    """The same for each raw row and entry: source, row, id (None where it has no text), and fate."""
    votes: list[tuple[Vote, ...]] = field(default_factory=list)
    """What annotators said of each comparison."""

    def note(self, places: Sequence[Place], identity: str | None, fate: str) -> None:
        """Say what became of the raw rows of a record."""
        self.counts[fate] += len(places)
        for source, row in places:
            self.rows_of.setdefault(source, Counter())[fate] += 1
            self.fates.append({"source": source, "row": row, "id": identity, "fate": fate})


def prepare(sources: Iterable[RawRows], *, seed: int) -> PreparedData:
    """Sort every raw row into its split.

    The split is a hash of the prompt, so one prompt is never on two sides, and adding rows moves no other row. Only a
    split that would be empty, as those of a few dozen rows may be, borrows the prompt whose hash is nearest to it.
    Limits keep the records with the smallest hashes.

    Args:
        sources: with a number in each of `data.splits` and `data.limits`, see `fill_shares`.
        seed: of the hashes.
    """
    prepared = PreparedData()
    by_split: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    seen: set[str] = set()
    order: dict[str, int] = {}
    data: Data | None = None
    for source in join_votes(sources):
        order |= {name: len(order) + number for number, name in enumerate(source.names or (source.name,))}
        data = source.data
        for record in _read(source, prepared):
            whence = (record["places"], record["id"])
            if record["id"] in seen:
                prepared.note(*whence, "dropped.duplicate")
                continue
            seen.add(record["id"])
            record["hash"] = unit_hash(seed, fold(record["prompt"]))
            if source.share < 1 and unit_hash(seed, f"share/{fold(record['prompt'])}") >= source.share:
                prepared.note(*whence, "unused.beyond_share")
                continue
            by_split[split_of(record["hash"], source.data)].append(record)
    assert data is not None, "there is a source"
    lend_to_empty_splits(by_split, data)
    used = {split: _limited(records, split, data, prepared) for split, records in by_split.items()}
    for split, records in used.items():
        _fill(prepared, split, records, seed=seed)
    _share_train_split(prepared, used, data)
    prepared.fates.sort(key=lambda fate: (order[fate["source"]], fate["row"]))
    return prepared


def _read(source: RawRows, prepared: PreparedData) -> Iterator[dict[str, Any]]:
    for entry in read_entries(source.rows, source.data, source.style):
        if entry.votes:
            prepared.votes.append(entry.votes)
        if entry.record is None:
            prepared.note(source.places(entry.rows), None, f"dropped.{entry.reason}")
        elif not all(is_storable(text) for text in entry.record.values() if isinstance(text, str)):
            prepared.note(source.places(entry.rows), None, "dropped.not_utf8")
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


def joined_without_space(pairs: Iterable[Mapping[str, Any]]) -> int:
    """Pairs with a response that begins right behind the last letter of the prompt."""
    return sum(
        not pair["prompt"][-1].isspace() and any(pair[side] and not pair[side][0].isspace() for side in _SIDES)
        for pair in pairs
    )


def _limited(records: list[dict[str, Any]], split: str, data: Data, prepared: PreparedData) -> list[dict[str, Any]]:
    """The records of a split that are used, in the order of their hashes, one a prompt where prompts are sampled."""
    usable = []
    prompts: set[str] = set()
    for record in sorted(records, key=lambda record: (record["hash"], record["id"])):
        refusal = _refusal(record, split, prompts)
        if refusal:
            prepared.note(record["places"], record["id"], refusal)
        else:
            prompts.add(fold(record["prompt"]))
            usable.append(record)
    limit = getattr(data.limits, split) or len(usable)
    prepared.counts.update({f"used.{split}": 0, f"unused.{split}": 0})  # said even where there are none
    for number, record in enumerate(usable):
        fate = f"{'used' if number < limit else 'unused'}.{split}"
        prepared.note(record["places"], record["id"], fate)
    return usable[:limit]


def _refusal(record: Mapping[str, Any], split: str, prompts: set[str]) -> str | None:
    """The fate of a record that its split has no use for."""
    if split == "judge":
        return None if "label" in record or "chosen" in record else "unused.without_label"
    if record.get("short"):
        return "dropped.too_few_words"
    if "text" in record and fold(record["prompt"]) in prompts:
        return "dropped.repeated_prompt"
    if split == "sft" and "response" not in record:
        return "unused.without_response"
    return None


def _fill(prepared: PreparedData, split: str, records: list[dict[str, Any]], *, seed: int) -> None:
    if split == "judge":
        _fill_labels(prepared, records, seed=seed)
        return
    if split in ("sft", "evaluation"):
        name = "train" if split == "sft" else "evaluation"
        complete = [record for record in records if "response" in record]
        prepared.texts[name] += [_text(record) for record in complete]
    if split == "sft":
        return
    seen: set[str] = set()
    for record in records:
        if record["prompt"] not in seen:
            seen.add(record["prompt"])
            prepared.prompts[split].append(_keep(record, "id", "prompt", "category"))
        if "chosen" in record and split != "evaluation":
            prepared.pairs.append(_pair(record, split))


def _share_train_split(prepared: PreparedData, used: Mapping[str, list[dict[str, Any]]], data: Data) -> None:
    """A judge or SFT without a share learns from the train split; the judge is measured on the test split."""
    if data.splits.judge == 0:
        for name in ("train", "test"):
            known = [record for record in used[name] if "label" in record or "chosen" in record]
            prepared.labels[name] += [label for record in known for label in _labelled(record)]
    if data.splits.sft == 0:
        # several pairs may have the same chosen response
        texts = {(record["prompt"], record["response"]): record for record in used["train"] if "response" in record}
        prepared.texts["train"] += [_text(record) for record in texts.values()]


def _fill_labels(prepared: PreparedData, records: list[dict[str, Any]], *, seed: int) -> None:
    # by a hash of its own: the split hash of these records fills only part of [0, 1)
    hashes = [unit_hash(seed, f"judge/{fold(record['prompt'])}") for record in records]
    edge = held_out_edge(hashes, _JUDGE_HELD_OUT)
    for record, value in zip(records, hashes, strict=True):
        prepared.labels["test" if value < edge else "train"] += _labelled(record)


def _pair(record: dict[str, Any], split: str) -> dict[str, Any]:
    pair = {**_keep(record, "id", "prompt", "category", "chosen", "rejected"), "split": split}
    # votes on it may be in several files; each row is numbered in its own
    files = dict.fromkeys(file for file, _ in record["places"])
    pair["origin"] = {"file": ", ".join(files), "rows": [row for _, row in record["places"]]}
    return {**pair, **{name: record[name] for name in ("votes", *SCORES) if name in record}}


def _labelled(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge labels of a record; a pair gives two texts, the chosen one labelled 1."""
    if "label" in record:
        return [_keep(record, "id", "text", "label")]
    return [
        {"id": record["id"], "text": record["prompt"] + record[name], "label": label}
        for name, label in zip(_SIDES, (1, 0), strict=True)
    ]


def _text(record: dict[str, Any]) -> dict[str, Any]:
    return _keep(record, "id", "prompt", "response", "ended")


def _keep(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: record[name] for name in names}
