"""Rows that are put together keep their texts on the disk, and give what a plain pass over a list gives."""

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.entries import read_entries, waits_for_all_rows
from pipeline.reading.styles import Style
from pipeline.scratch import ScratchFile
from tests.tiny_models import changed

FORMS = ("thumbs", "ratings", "rankings", "comparisons")


def form_of(params: Params, form: str) -> Data:
    columns = changed(params.data.columns, annotator="annotator", item="item") if form == "comparisons" else {}
    return changed(params.data, format=form, **({"columns": columns} if columns else {}))


def rows_of(form: str, count: int, *, seed: int = 0, text: str = "") -> Iterator[dict[str, Any]]:
    """Rows of a few prompts, at random."""
    rng = random.Random(seed)
    for at in range(count):
        prompt = f"Question {rng.randrange(count // 4 + 1)}?{text}"
        answers = [f"answer {rng.randrange(3)}{text}" for _ in range(2)]
        if form == "comparisons":
            who = {"annotator": rng.choice(["ann", "bob"]), "item": rng.choice([None, f"item {rng.randrange(count)}"])}
            winner = rng.choice(["a", "b", "tie"])
            yield {"prompt": prompt, "response_a": answers[0], "response_b": answers[1], "winner.0": winner, **who}
        else:
            value = {"thumbs": ("label", rng.randrange(2)), "ratings": ("score", rng.randrange(4))}
            name, said = value.get(form, ("rank", rng.randrange(4)))
            yield {"prompt": prompt, "response": f"{at} {answers[0]}", name: said}


def plain_pairs(form: str, rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """What a reader of one prompt after the other finds."""
    found = []
    for prompt in dict.fromkeys(row["prompt"] for row in rows):
        of_prompt = [row for row in rows if row["prompt"] == prompt]
        if form == "thumbs":
            sides = [[row["response"] for row in of_prompt if row["label"] == label] for label in (1, 0)]
            found += [(prompt, *both) for both in zip(*sides, strict=False)]
        else:
            values = [row["score"] if form == "ratings" else -row["rank"] for row in of_prompt]
            if max(values) > min(values):
                ends = (of_prompt[values.index(end(values))]["response"] for end in (max, min))
                found.append((prompt, *ends))
    return found


@pytest.mark.parametrize("form", FORMS[:3])
def test_pairs_are_those_of_a_plain_pass(form: str, params: Params) -> None:
    for seed in range(5):
        rows = list(rows_of(form, 80, seed=seed))
        entries = list(read_entries(rows, form_of(params, form), Style()))
        pairs = [
            tuple(entry.record[name] for name in ("prompt", "chosen", "rejected")) for entry in entries if entry.record
        ]
        assert pairs and sorted(pairs) == sorted(plain_pairs(form, rows))
        assert sorted(row for entry in entries for row in entry.rows) == list(range(1, 81)), "each row has a fate"


@pytest.mark.parametrize("form", FORMS)
def test_memory_does_not_grow_with_the_texts(form: str, params: Params, tmp_path: Path) -> None:
    settings, file = form_of(params, form), ScratchFile(tmp_path)
    assert waits_for_all_rows(settings)
    count, text = 2_000, "word " * 4_000
    tracemalloc.start()
    pairs = sum(
        1 for entry in read_entries(rows_of(form, count, text=text), settings, Style(), file=file) if entry.record
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert pairs > 100 and peak < count * len(text) / 10, f"{peak:,} bytes of texts of {2 * count * len(text):,}"
    assert not list(tmp_path.iterdir()), "the file has no name"
