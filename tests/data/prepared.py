"""Raw rows that tests prepare, and where each has gone."""

import random
from collections.abc import Iterable
from typing import Any

from pipeline.data.preparation import PreparedData
from pipeline.data.preparation import prepare as prepare_sources
from pipeline.data.raw_rows import RawRows
from pipeline.data.records import fold
from pipeline.params.data import Data

NO_LIMITS = dict.fromkeys(("judge", "sft", "train", "validation", "test", "evaluation"), 0)


SPLITS = {"judge": 0.3, "sft": 0.2, "train": 0.2, "validation": 0.1, "test": 0.1, "evaluation": 0.1}


def texts(count: int, *, start: int = 0, words: int = 14) -> list[dict[str, Any]]:
    """Labelled texts, each with a prompt of its own."""
    rows = []
    for number in range(start, start + count):
        rng = random.Random(number)
        body = " ".join(rng.choice(["film", "plot", "good", "bad", "scene"]) for _ in range(words - 2))
        rows.append({"text": f"Review {number} {body}", "label": number % 2})
    return rows


def pairs(count: int) -> list[dict[str, str]]:
    return [
        {"prompt": f"Question {number // 2}?", "chosen": f" Yes, {number}.", "rejected": f" No, {number}."}
        for number in range(count)
    ]


def prepare(rows: Iterable[dict[str, Any]], data: Data, *, seed: int) -> PreparedData:
    """Of one source."""
    return prepare_sources([RawRows("rows", rows, data)], seed=seed)


def prompts_of(prepared: PreparedData) -> dict[str, set[str]]:
    """Folded prompts of every use; judge texts begin with theirs."""
    uses = {f"prompts.{split}": rows for split, rows in prepared.prompts.items()}
    uses |= {f"texts.{split}": rows for split, rows in prepared.texts.items()}
    found = {name: {fold(row["prompt"]) for row in rows} for name, rows in uses.items()}
    labels = [row for rows in prepared.labels.values() for row in rows]
    return found | {"judge": {fold(" ".join(row["text"].split()[:3])) for row in labels}}


def split_of_each_id(prepared: PreparedData) -> dict[str, str]:
    uses = {f"labels.{split}": rows for split, rows in prepared.labels.items()}
    uses |= {f"texts.{split}": rows for split, rows in prepared.texts.items()}
    uses |= {f"prompts.{split}": rows for split, rows in prepared.prompts.items()}
    return {row["id"]: name for name, rows in uses.items() for row in rows}
