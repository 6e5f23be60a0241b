"""Public preference sets in their original files, where they lie beside the project: every row has its fate.

What is counted here is counted from the files by a few lines of their own, without the readers.
"""

import csv
import gzip
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.leakage import LEAKED
from pipeline.data.preparation import PreparedData, RawRows, prepare
from pipeline.data.shares import fill_shares
from pipeline.params.schema import Params
from pipeline.preferences.given import given_records
from pipeline.reading.formats import detect_format, prompts_by_file, select_fields
from pipeline.reading.sources import load_sources
from tests.tiny_models import changed

SETS = Path(os.environ.get("PREFERENCE_SETS", Path(__file__).resolve().parents[3] / "shared" / "data"))
SPLITS = {"judge": 0.6, "sft": 0.2, "train": 0.12, "validation": 0.02, "test": 0.03, "evaluation": 0.03}
pytestmark = pytest.mark.skipif(not SETS.is_dir(), reason="the public preference sets are not here")


ONE_AND_TWO = {"first": [1], "second": [2], "tie": [0], "skip": None}
CODINGS: dict[str, dict[str, Any]] = {
    "finegrained-rlhf-qa": {"winner_coding": ONE_AND_TWO},
    "pandalm": {"winner_coding": ONE_AND_TWO},
    "ukpconvarg1": {"best_rank": "lowest"},
}
"""What the README of each set says of numbers that do not say it themselves."""


def load(
    name: str, params: Params, *, threshold: float | None = None, seed: int = 0
) -> tuple[set[str], int, PreparedData]:
    """Formats, raw rows and what became of them, by naming the folder alone; no splits are held against each other.

    Args:
        threshold: one from which on they are, and the splits are those of the source.
        seed: of the splits.
    """
    settings = changed(
        params.data,
        source=str(SETS / name),
        format="auto",
        columns=dict.fromkeys(params.data.columns.model_dump()),
        splits=SPLITS if threshold is None else dict.fromkeys(SPLITS),
        limits=dict.fromkeys(SPLITS, 0),
        leakage={"threshold": threshold},
        **CODINGS.get(name, {}),
    )
    sources = load_sources(settings)
    resolved = prompts_by_file(sources, [detect_format(source, settings) for source in sources])
    resolved = fill_shares(resolved, rows=sum(len(source.rows) for source in sources))
    raw = [
        RawRows(source.name, select_fields(source, data), data) for source, data in zip(sources, resolved, strict=True)
    ]
    prepared = prepare(raw, seed=seed)
    return {data.format for data in resolved}, sum(len(source.rows) for source in sources), prepared


def fates(prepared: PreparedData) -> Counter[str]:
    """Entries that are used, and those that were dropped by reason."""
    counts: Counter[str] = Counter()
    for fate, count in prepared.counts.items():
        counts["used" if fate.startswith("used") else fate.removeprefix("dropped.")] += count
    return Counter({fate: count for fate, count in counts.items() if count})


def json_rows(path: Path) -> list[Any]:
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines() if line]


ROWS = {
    "finegrained-rlhf-qa": (250, {"round_robin"}),
    "hh-rlhf-harmless-base": (1153, {"preference_pairs"}),
    "hhh-alignment-prometheus": (93, {"preference_pairs"}),
    "llamafactory-dpo-en": (149, {"preference_pairs"}),
    "llamafactory-dpo-zh": (151, {"preference_pairs"}),
    "llamafactory-kto-en": (150, {"thumbs"}),
    "llamafactory-v1-dpo": (6, {"preference_pairs"}),
    "llmbar": (159, {"comparisons"}),
    "mtbench-gpt4-pair": (38, {"judgements"}),
    "oasst-en100-trees": (50, {"trees"}),
    "pandalm": (496, {"comparisons"}),
    "rankgen-human-ab": (294, {"comparisons"}),
    "sparse-feedback": (130, {"comparisons", "ratings"}),
    "ukpconvarg1": (6449, {"comparisons", "rankings"}),
    "ultrafeedback-1k": (500, {"preference_pairs"}),
}


@pytest.mark.parametrize("name", ROWS)
def test_every_set_loads_by_its_path_and_loses_no_row(name: str, params: Params) -> None:
    rows, formats = ROWS[name]
    found, count, prepared = load(name, params)
    assert (found, count) == (formats, rows)
    assert len({(fate["source"], fate["row"]) for fate in prepared.fates}) == rows
    assert sum(prepared.counts.values()) == len(prepared.fates)
    if name != "llamafactory-kto-en":
        assert all(prepared.counts[f"used.{split}"] for split in SPLITS), "no split is empty"


def majority(votes: Iterable[int]) -> str:
    """1 or 2 against each other, and a tie where the ties are more."""
    counts = Counter(votes)
    tied = counts[1] == counts[2] or counts[0] > max(counts[1], counts[2])
    return "tie" if tied else "used"


def round_robins(folder: Path) -> Iterator[str]:
    for row in json_rows(folder / "dev_feedback.json"):
        yield from ("tie" if verdict == 0 else "used" for verdict in row["preference"])


def games(folder: Path) -> Iterator[str]:
    for row in json_rows(folder / "gpt-4_pair.jsonl"):
        first, second = row["g1_winner"], row["g2_winner"]
        yield "tie" if "tie" in (first, second) else "used" if first == second else "games_disagree"


def annotators(folder: Path) -> Iterator[str]:
    seen = set()
    for row in json_rows(folder / "testset-v1.json"):
        texts = [row["response1"], row["response2"]]
        verdict = majority(row[f"annotator{number}"] for number in (1, 2, 3))
        if not all(isinstance(text, str) for text in [row["instruction"], *texts]):
            yield "text_is_no_string"
        elif verdict == "tie":
            yield "tie"
        else:
            ones = sum(row[f"annotator{number}"] == 1 for number in (1, 2, 3))
            twos = sum(row[f"annotator{number}"] == 2 for number in (1, 2, 3))
            key = (row["instruction"], row["input"], *(texts if ones > twos else texts[::-1]))
            yield "duplicate" if key in seen else "used"
            seen.add(key)


def thumbs(folder: Path) -> Iterator[str]:
    labels: dict[str, Counter[bool]] = {}
    for row in json_rows(folder / "kto_en_demo.json"):
        labels.setdefault(json.dumps(row["messages"][:-1]), Counter())[row["label"]] += 1
    for counts in labels.values():
        pairs = min(counts[True], counts[False])
        yield from ["used"] * 2 * pairs + ["unpaired"] * (counts.total() - 2 * pairs)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("finegrained-rlhf-qa", round_robins),
        ("mtbench-gpt4-pair", games),
        ("pandalm", annotators),
        ("llamafactory-kto-en", thumbs),
    ],
)
def test_verdicts_are_those_of_the_files(name: str, count: Callable[[Path], Iterator[str]], params: Params) -> None:
    assert fates(load(name, params)[2]) == Counter(count(SETS / name))


def test_votes_in_rows_are_put_together(params: Params) -> None:
    rows = [row for path in sorted((SETS / "rankgen-human-ab").glob("*.csv")) for row in csv.DictReader(path.open())]
    votes: dict[tuple[str, frozenset[str]], Counter[str]] = {}
    for row in rows:
        first, second = row["Input.First"], row["Input.Second"]
        winner = first if row["Answer.utterance"].startswith("Text 1") else second
        votes.setdefault((row["Input.Prefix"], frozenset((first, second))), Counter())[winner] += 1
    decided = sum(1 for counts in votes.values() if len(set(counts.values())) != 1 or len(counts) == 1)
    prepared = load("rankgen-human-ab", params)[2]
    used = {fate["id"] for fate in prepared.fates if fate["fate"].startswith("used")}
    assert len(used) == decided and len(prepared.votes) == len(votes)


def test_transcripts_are_cut_at_a_turn(params: Params) -> None:
    whole = {
        tuple(row[side] for side in ("chosen", "rejected"))
        for row in json_rows(SETS / "hh-rlhf-harmless-base/test.jsonl.gz")
    }
    prepared = load("hh-rlhf-harmless-base", params)[2]
    assert given_records(prepared.paired)
    for pair in given_records(prepared.paired):
        assert pair["prompt"].endswith("\n\nAssistant:")
        assert (pair["prompt"] + pair["chosen"], pair["prompt"] + pair["rejected"]) in whole


def test_every_judged_response_is_cut_out_of_its_template(params: Params) -> None:
    rows = json_rows(SETS / "hhh-alignment-prometheus/hhh_alignment_eval.json")
    head, tail = "###Response to evaluate:\n", "\n\n###Score Rubrics:"
    wanted = {
        tuple(row[side].split(head)[1].split(tail)[0] for side in ("chosen_instruction", "rejected_instruction"))
        for row in rows
    }
    pairs = given_records(load("hhh-alignment-prometheus", params)[2].paired)
    assert pairs and all(pair["prompt"].endswith(head) for pair in pairs)
    assert {(pair["chosen"], pair["rejected"]) for pair in pairs} <= wanted


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("finegrained-rlhf-qa", 9),
        ("hh-rlhf-harmless-base", 22),
        ("hhh-alignment-prometheus", 0),
        ("llmbar", 0),
        ("oasst-en100-trees", 16),
        ("sparse-feedback", 3),
        ("ukpconvarg1", 745),
        ("ultrafeedback-1k", 2),
    ],
)
def test_as_many_held_out_rows_repeat_others_as_the_docs_say(name: str, rows: int, params: Params) -> None:
    prepared = load(name, params, threshold=params.data.leakage.threshold, seed=params.seed)[2]
    assert prepared.counts[LEAKED] == rows
