"""Raw rows to texts, prompts and labels in prompt-disjoint splits; every dropped row is counted with a reason."""

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.data.chats import Unreadable
from pipeline.data.formats import read_preference, read_thumb
from pipeline.data.records import fold, record_id
from pipeline.params.schema import Data
from pipeline.seeding import seed_for

SPLITS = ("judge", "sft", "train", "validation", "test", "evaluation")
_JUDGE_HELD_OUT = 0.1
_SIDES = ("chosen", "rejected")
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


_Thumb = tuple[int, str]
"""Number of the row, and the response that was liked or not."""


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
    """Preferences as given; empty for labelled texts."""
    counts: Counter[str] = field(default_factory=Counter)
    """Raw rows by what became of them: `used.SPLIT`, `unused.SPLIT` (over the limit), `dropped.REASON`."""
    fates: list[dict[str, Any]] = field(default_factory=list)
    """The same for each raw row: its number, its id (None where it has no text), and its fate."""

    def note(self, rows: Sequence[int], identity: str | None, fate: str) -> None:
        """Say what became of the raw rows of a record."""
        self.counts[fate] += len(rows)
        self.fates += [{"row": row, "id": identity, "fate": fate} for row in rows]


def prepare(rows: Iterable[Mapping[str, Any]], data: Data, *, seed: int) -> PreparedData:
    """Sort every raw row into its split.

    The split is a hash of the prompt, so one prompt is never on two sides, and adding rows moves no other row.
    Limits keep the records with the smallest hashes.
    """
    prepared = PreparedData()
    by_split: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    seen: set[str] = set()
    readable = _readable_thumbs(rows, data, prepared) if data.format == "thumbs" else _readable(rows, data, prepared)
    for record in readable:
        if record["id"] in seen:
            prepared.note(record["rows"], record["id"], "dropped.duplicate")
            continue
        seen.add(record["id"])
        record["hash"] = _unit_hash(seed, fold(record["prompt"]))
        by_split[_split_of(record["hash"], data)].append(record)
    for split, records in by_split.items():
        _fill(prepared, split, _limited(records, split, data, prepared), data, seed=seed)
    prepared.fates.sort(key=lambda fate: fate["row"])
    return prepared


def _readable(rows: Iterable[Mapping[str, Any]], data: Data, prepared: PreparedData) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, start=1):
        try:
            record = _read_labelled_text(row, data) if data.format == "labelled_texts" else _read_pair(row, data)
        except Unreadable as reason:
            prepared.note([number], _identity(row), f"dropped.{reason}")
        else:
            yield {**record, "rows": [number]}


def _readable_thumbs(rows: Iterable[Mapping[str, Any]], data: Data, prepared: PreparedData) -> Iterator[dict[str, Any]]:
    """Liked and disliked responses to one prompt as pairs, in the order of the rows; what is left over is unpaired."""
    waiting: dict[str, tuple[deque[_Thumb], deque[_Thumb]]] = {}
    for number, row in enumerate(rows, start=1):
        try:
            prompt, response, liked = read_thumb(row, separator=data.separator)
        except Unreadable as reason:
            prepared.note([number], None, f"dropped.{reason}")
            continue
        wanted, unwanted = waiting.setdefault(prompt, (deque(), deque()))
        (wanted if liked else unwanted).append((number, response))
        if wanted and unwanted:
            (first, chosen), (second, rejected) = wanted.popleft(), unwanted.popleft()
            yield {**_pair(prompt, chosen, rejected), "rows": [first, second]}
    for prompt, queues in waiting.items():
        for number, response in (thumb for queue in queues for thumb in queue):
            prepared.note([number], record_id(prompt, response), "dropped.unpaired")


def _identity(row: Mapping[str, Any]) -> str | None:
    """The id that a dropped row would have."""
    texts = [row["text"]] if "text" in row else [row.get(name) for name in ("prompt", "chosen", "rejected")]
    return record_id(*map(str, texts)) if all(isinstance(text, str) for text in texts) else None


def _read_labelled_text(row: Mapping[str, Any], data: Data) -> dict[str, Any]:
    text, label = row["text"], row["label"]
    if not isinstance(text, str) or not text.strip():
        raise Unreadable("empty_text")
    if isinstance(label, bool) or label not in (0, 1):
        raise Unreadable("label_not_0_or_1")
    words = _LINE_BREAK.sub(" ", text).split()
    prompt, response = words[: data.prompt_words], words[data.prompt_words :]
    return {
        "id": record_id(text),
        "text": " ".join(words),
        "label": int(label),
        "prompt": " ".join(prompt),
        # the space belongs to the response: byte-level tokenizers write it into the first token
        "response": " " + " ".join(response[: data.response_words]) if response else "",
        "ended": len(response) <= data.response_words,
        "long_enough": len(words) >= data.min_words,
    }


def _read_pair(row: Mapping[str, Any], data: Data) -> dict[str, Any]:
    return _pair(**read_preference(row, data.format, separator=data.separator))


def _pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    texts = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    return {**texts, "id": record_id(*texts.values()), "response": chosen, "ended": True, "long_enough": True}


def joined_without_space(pairs: Iterable[Mapping[str, Any]]) -> int:
    """Pairs with a response that begins right behind the last letter of the prompt."""
    return sum(
        not pair["prompt"][-1].isspace() and any(pair[side] and not pair[side][0].isspace() for side in _SIDES)
        for pair in pairs
    )


def _unit_hash(seed: int, text: str) -> float:
    return seed_for(seed, f"split/{text}") / 2**63


def _split_of(value: float, data: Data) -> str:
    edge = 0.0
    for split in SPLITS:
        edge += getattr(data.splits, split)
        if value < edge:
            return split
    return SPLITS[-1]


def _limited(records: list[dict[str, Any]], split: str, data: Data, prepared: PreparedData) -> list[dict[str, Any]]:
    """The records of a split that are used, in the order of their hashes, one a prompt where prompts are sampled."""
    usable = []
    prompts: set[str] = set()
    for record in sorted(records, key=lambda record: (record["hash"], record["id"])):
        if split != "judge" and not record["long_enough"]:
            prepared.note(record["rows"], record["id"], "dropped.too_few_words")
        elif split != "judge" and data.format == "labelled_texts" and fold(record["prompt"]) in prompts:
            prepared.note(record["rows"], record["id"], "dropped.repeated_prompt")
        else:
            prompts.add(fold(record["prompt"]))
            usable.append(record)
    limit = getattr(data.limits, split) or len(usable)
    prepared.counts.update({f"used.{split}": 0, f"unused.{split}": 0})  # said even where there are none
    for number, record in enumerate(usable):
        prepared.note(record["rows"], record["id"], f"{'used' if number < limit else 'unused'}.{split}")
    return usable[:limit]


def _fill(prepared: PreparedData, split: str, records: list[dict[str, Any]], data: Data, *, seed: int) -> None:
    if split == "judge":
        for record in records:
            # by a hash of its own: the split hash of these records fills only part of [0, 1)
            held_out = _unit_hash(seed, f"judge/{fold(record['prompt'])}") < _JUDGE_HELD_OUT
            prepared.labels["test" if held_out else "train"] += _labelled(record, data)
        return
    if split in ("sft", "evaluation"):
        name = "train" if split == "sft" else "evaluation"
        prepared.texts[name] += [_keep(record, "id", "prompt", "response", "ended") for record in records]
    if split == "sft":
        return
    seen: set[str] = set()
    for record in records:
        if record["prompt"] not in seen:
            seen.add(record["prompt"])
            prepared.prompts[split].append(_keep(record, "id", "prompt"))
        if data.format != "labelled_texts" and split != "evaluation":
            prepared.pairs.append({**_keep(record, "id", "prompt", "chosen", "rejected"), "split": split})


def _labelled(record: dict[str, Any], data: Data) -> list[dict[str, Any]]:
    """Judge labels of a record; a pair gives two texts, the chosen one labelled 1."""
    if data.format == "labelled_texts":
        return [_keep(record, "id", "text", "label")]
    return [
        {"id": record["id"], "text": record["prompt"] + record[name], "label": label}
        for name, label in zip(_SIDES, (1, 0), strict=True)
    ]


def _keep(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: record[name] for name in names}
