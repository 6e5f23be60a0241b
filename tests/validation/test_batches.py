"""Pairs in batches, of a file or in memory, give what a plain pass over a list gives, wherever a batch ends."""

import pickle
import random
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.data import batches
from pipeline.data.record_files import RecordFile
from pipeline.data.records import fold, read_records, record_line, write_lines, write_records
from pipeline.params.schema import ValidatePreferences
from pipeline.validation import examining
from pipeline.validation.context_length import PairMeter
from pipeline.validation.contract import ValidatedPairs, validate_pairs
from pipeline.validation.details import detail_pairs
from pipeline.validation.near_duplicates import overlap, trigrams_of
from pipeline.validation.summary import summarise_pairs
from tests.tiny_models import byte_level_tokenizer, changed
from tests.validation.planted import SETTINGS, pair, reasons_by_row

TEXTS = ("prompt", "chosen", "rejected")
SPLITS = ("train", "validation", "test")
WORDS = [f"w{number}" for number in range(60)]
Row = dict[str, Any]


def random_pairs(seed: int, count: int) -> list[Row]:
    """Pairs of which many repeat, contradict, leak, or are broken."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        prompt, chosen, rejected = (" ".join(rng.choices(WORDS, k=length)) for length in (6, 14, 14))
        row = pair(
            number,
            prompt=prompt,
            chosen=f" {chosen}",
            rejected=f" {rejected}",
            split=rng.choice([*SPLITS, *[SPLITS[0]] * 6]),
        )
        row["margin"] = rng.choice([None, 0.5, 0.25, 1.0, 0, -0.5])
        row["origin"] = {"file": rng.choice("ab"), "rows": [number]}
        if rows:
            earlier = rng.choice(rows)
            row |= rng.choice(
                [
                    {},
                    {},
                    {name: earlier.get(name) for name in TEXTS},
                    {"prompt": earlier.get("prompt")},
                    {"prompt": earlier.get("prompt"), **turned(earlier)},
                    {**{name: earlier.get(name) for name in TEXTS}, "rejected": f"{earlier.get('rejected')} more"},
                    {"id": earlier.get("id")},
                    {"chosen": row["rejected"]},
                    {"chosen": rng.choice(["", " ", None, 3, "\ud800", "x" * 300, "a </s> b", "caf\u00c3\u00a9"])},
                    {"chosen": " a", "rejected": " a b c d e"},
                    {"votes": [{"annotator": "ann", "verdict": "a", "swapped": False}]},
                ]
            )  # fmt: skip
        rows.append(row)
    return rows


def turned(row: Row) -> Row:
    return {"chosen": row.get("rejected"), "rejected": row.get("chosen")}


def plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def expected_set_reasons(rows: Sequence[Mapping[str, Any]], left: list[int]) -> Iterator[tuple[int, str]]:
    """Rounds 4 to 6 by comparing every two rows, and what round 7 may say, of rows that rounds 1 to 3 left."""
    keys = {at: tuple(plain(rows[at][name]) for name in TEXTS) for at in left}
    turned = {at: (prompt, two, one) for at, (prompt, one, two) in keys.items()}
    refused = [at for at in left if any(keys[other] == turned[at] for other in left)]
    yield from ((at, "contradictory_pair") for at in refused)
    left = [at for at in left if at not in refused]
    rank = {at: SPLITS.index(rows[at]["split"]) for at in left}
    prompts = {at: fold(rows[at]["prompt"]) for at in left}
    refused = [at for at in left if any(prompts[at] == prompts[other] and rank[other] > rank[at] for other in left)]
    yield from ((at, "split_leakage") for at in refused)
    left = [at for at in left if at not in refused]
    refused = []
    for at in left:
        if any(rows[at]["id"] == rows[other]["id"] for other in left if other < at):
            refused.append(at)
            yield at, "duplicate_id"
        if any(keys[at] == keys[other] for other in left if other < at):
            refused.append(at)
            yield at, "duplicate_pair"
    left = [at for at in left if at not in refused]
    grams = {at: trigrams_of("\n".join(rows[at][name] for name in TEXTS)) for at in left}
    for at in left:
        if any(overlap(grams[at], grams[other]) >= SETTINGS.near_duplicate_similarity for other in left if other < at):
            yield at, "near_duplicate"


SET_RULES = {"contradictory_pair", "split_leakage", "duplicate_id", "duplicate_pair"}


def test_the_rounds_over_the_set_find_what_comparing_every_two_finds() -> None:
    seen: set[str] = set()
    settings = changed(SETTINGS, max_tokens=None)
    for seed in range(6):
        rows = random_pairs(seed, 120)
        validated = validate_pairs(rows, settings)
        assert len(validated.accepted) + len(validated.quarantined) == len(rows)
        early = {at for at, codes in reasons_by_row(validated).items() if not set(codes) & SET_RULES}
        expected: dict[int, set[str]] = {}
        for at, code in expected_set_reasons(rows, [at for at in range(len(rows)) if at not in early]):
            expected.setdefault(at, set()).add(code)
        found = {at: codes & {*SET_RULES, "near_duplicate"} for at, codes in validated.found.items() if at not in early}
        found = {at: codes for at, codes in found.items() if codes}
        # MinHash may miss a near duplicate, and never makes one up
        missed = {at for at, codes in expected.items() if codes == {"near_duplicate"} and at not in found}
        assert found == {at: codes for at, codes in expected.items() if at not in missed} and len(missed) <= 1
        seen |= {code for codes in found.values() for code in codes}
    assert seen == {*SET_RULES, "near_duplicate"}


def everything(validated: ValidatedPairs, settings: ValidatePreferences) -> list[Any]:
    """All that the stage writes of pairs."""
    lines = [b"".join(validated.lines(split)) for split in SPLITS]
    quarantine = b"".join(map(record_line, validated.quarantined))
    reports = [summarise_pairs(validated, settings, ties_without_pair=0), detail_pairs(validated)]
    return [*lines, quarantine, *reports, dict(validated.found), validated.counts, validated.truncated_prompts]


@pytest.mark.parametrize(
    "over_context",
    [
        "truncate_prompt",
        pytest.param("drop", marks=pytest.mark.slow(beside="test_nothing_depends_on_where_a_batch_ends")),
    ],
)
def test_nothing_depends_on_where_a_batch_ends(
    over_context: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    byte_level_tokenizer().save_pretrained(tmp_path)
    rows = random_pairs(0, 150)
    write_records(tmp_path / "raw.jsonl", rows)
    measured = PairMeter(tmp_path / "tokenizer.json", changed(SETTINGS, max_tokens=9999)).measure(rows)
    settings = changed(SETTINGS, over_context=over_context, max_tokens=sorted(measured.tokens)[75])
    meter = PairMeter(tmp_path / "tokenizer.json", settings)
    whole = validate_pairs(rows, settings, meter=meter)
    expected = everything(whole, settings)
    assert read_written(tmp_path, expected[:3]) == [
        one.as_record() for split in SPLITS for one in whole.accepted if one.split == split
    ]
    assert (whole.truncated_prompts if over_context == "truncate_prompt" else whole.counts["over_context"]) > 20
    # a batch takes long, however few rows it has: rows alone are tried on few, of which some are accepted
    few = rows[: 25 if over_context == "truncate_prompt" else 60]
    first = everything(validate_pairs(few, settings, meter=meter), settings)
    write_records(tmp_path / "first.jsonl", few)
    for name, of, batch in (("first", first, 1), *(("raw", expected, batch) for batch in (11, 149, 150))):
        monkeypatch.setattr(examining, "_BATCH", batch)
        file = RecordFile(tmp_path / f"{name}.jsonl")
        assert everything(validate_pairs(rows[: len(file)], settings, meter=meter), settings) == of
        streamed = validate_pairs(file, settings, meter=meter)
        assert streamed.facts["as_written"].all()
        assert everything(streamed, settings) == of
    monkeypatch.setattr(examining, "_BATCH", 40)
    with monkeypatch.context() as long_rows:
        long_rows.setattr(batches, "MOST_BYTES", 2500)
        found: list[range] = []
        long_rows.setattr(examining, "map_in_processes", lambda task, items, processes: map(task, noted(found, items)))
        assert (
            everything(validate_pairs(RecordFile(tmp_path / "raw.jsonl"), settings, meter=meter), settings) == expected
        )
        assert len(found) > 2 * len(rows) / 40, "batches end by their bytes, too"
    monkeypatch.setattr(examining, "_ALONE", 1)
    if over_context == "truncate_prompt":  # two processes import pandera for seconds
        monkeypatch.setattr(examining, "map_in_processes", pickled)
    parallel = validate_pairs(RecordFile(tmp_path / "raw.jsonl"), settings, meter=meter, processes=2)
    assert everything(parallel, settings) == expected


def pickled(task: Any, items: Sequence[range], *, processes: int) -> Iterator[Any]:
    """As other processes are handed a task, and hand back what comes of it."""
    assert processes == 2
    there = pickle.loads(pickle.dumps(task))
    return (pickle.loads(pickle.dumps(there(item))) for item in items)


def noted(found: list[range], items: Sequence[range]) -> Sequence[range]:
    found += items
    return items


def read_written(folder: Path, parts: Sequence[bytes]) -> list[Row]:
    write_lines(folder / "written.jsonl", parts)
    return read_records(folder / "written.jsonl")


def test_a_line_in_another_style_is_written_anew(tmp_path: Path) -> None:
    rows = [pair(1, split="train"), pair(2, split="train")]
    (tmp_path / "raw.jsonl").write_bytes(record_line(rows[0]).replace(b": ", b":") + record_line(rows[1]))
    validated = validate_pairs(RecordFile(tmp_path / "raw.jsonl"), SETTINGS)
    assert validated.facts["as_written"].tolist() == [False, True]
    assert list(validated.lines("train")) == list(map(record_line, rows))
