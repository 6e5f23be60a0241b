"""Whatever the number of processes, and wherever a batch ends: the same records, fates, votes and files."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.data import batches, preparation, record_reader, table_writing
from pipeline.data.intake import open_sources, read_sources
from pipeline.data.preparation import PreparedData
from pipeline.data.table_writing import Table, write_tables
from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.preferences.given import given_records
from tests.tiny_models import byte_level_tokenizer, changed

PAIR = {"prompt": "Why {}?", "chosen": "Because é {}.", "rejected": "No {}."}
USER = {"role": "user", "content": "Why?"}


def pairs(count: int) -> list[dict[str, Any]]:
    """Some of which repeat, are broken, or have a bad text."""
    rows: list[dict[str, Any]] = [{name: text.format(at // 2) for name, text in PAIR.items()} for at in range(count)]
    for at in range(0, count, 7):
        rows[at] |= {"rejected": ["", "No <|im_end|>", "\ud800", None][at % 4]}
    return [{**row, "subset": f"kind {at % 3}"} for at, row in enumerate(rows)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params) -> Data:
    """Files with a pair, a vote, a liked response a row, and a policy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    byte_level_tokenizer().save_pretrained(tmp_path / "policy")
    lines = [json.dumps(row) for row in pairs(61)]
    Path("data/raw/a.jsonl").write_text("\n".join([*lines[:20], "{no json", *lines[20:]]))
    with Path("data/raw/b.csv").open("w") as stream:
        table = csv.DictWriter(stream, ["prompt", "response_a", "response_b", "winner"])
        table.writeheader()
        table.writerows(
            {"prompt": f"Who {at}?", "response_a": "I", "response_b": "You", "winner": ["a", "b", "tie"][at % 3]}
            for at in range(40)
        )
    thumbs = [{"prompt": f"What {at % 9}?", "response": f"That {at}", "label": at % 2} for at in range(30)]
    Path("data/raw/c.jsonl").write_text("\n".join(map(json.dumps, thumbs)))
    plain = [{"prompt": f"How {at}?", "chosen": "So.", "rejected": f"Not {at}."} for at in range(50)]
    parquet.write_table(pa.Table.from_pylist(plain), "data/raw/d.parquet")
    shares = {"a.jsonl": 0.8, "b.csv": 1.0, "c.jsonl": 1.0, "d.parquet": 1.0}
    return changed(
        params.data,
        source=[{"name": f"data/raw/{name}", "share": share} for name, share in shares.items()],
        format="auto",
        columns=dict.fromkeys(params.data.columns.model_dump()),
        label_coding={"wanted": [1], "unwanted": [0]},
        max_dropped_share=1.0,
    )


def everything(prepared: PreparedData) -> dict[str, Any]:
    uses = {"labels": prepared.labels, "texts": prepared.texts, "prompts": prepared.prompts}
    rows = {f"{kind}/{split}": list(of) for kind, splits in uses.items() for split, of in splits.items()}
    whole = {name: getattr(prepared, name) for name in ("counts", "rows_of", "votes", "glued_pairs", "noted_rows")}
    return {**rows, **whole, "pairs": list(given_records(prepared.paired)), "fates": list(prepared.fates)}


def test_processes_and_batches_change_nothing(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, style = read_sources(open_sources(data), Path("policy"), seed=0, processes=2)
    expected = everything(alone)
    assert expected["pairs"] and expected["votes"] and expected["rows_of"]["data/raw/c.jsonl"]
    assert {"dropped.duplicate", "unused.beyond_share", "dropped.malformed_json"} < set(expected["counts"])
    monkeypatch.setattr(preparation, "_ALONE", 1)
    for batch in (7, 50):
        monkeypatch.setattr(preparation, "BATCH", batch)
        monkeypatch.setattr(record_reader, "BATCH", batch)
        shared, written = read_sources(open_sources(data), Path("policy"), seed=0, processes=2)
        assert everything(shared) == expected and written.has_written == style.has_written
        assert (list(shared.counts), list(shared.rows_of)) == (list(alone.counts), list(alone.rows_of))


@pytest.mark.slow(beside="test_processes_and_batches_change_nothing")
def test_texts_beside_chats_are_seen_wherever_they_are_read(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = {"prompt": [USER], "chosen": "Because.", "rejected": "No."}
    with Path("data/raw/a.jsonl").open("a") as stream:
        stream.write("\n" + json.dumps(chat))
    expected, _ = read_sources(open_sources(data), Path("policy"), seed=0)
    assert all(row["prompt"].startswith("\n\nHuman: ") for row in given_records(expected.paired))
    monkeypatch.setattr(preparation, "_ALONE", 1)
    monkeypatch.setattr(preparation, "BATCH", 30)
    shared, style = read_sources(open_sources(data), Path("policy"), seed=0, processes=2)
    assert style.wraps and everything(shared) == everything(expected)


@pytest.mark.slow(beside="test_processes_and_batches_change_nothing")
def test_tables_are_the_same_bytes(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared, _ = read_sources(open_sources(data), Path("policy"), seed=0)
    rows: dict[str, Any] = {
        "pairs": given_records(prepared.paired),
        "labels": prepared.labels["train"],
        "texts": prepared.texts["train"],
    }

    def written(name: str, processes: int) -> list[bytes]:
        files = {kind: tmp_path / name / f"{kind}.jsonl" for kind in rows}
        write_tables([Table(files[kind], rows[kind], kind) for kind in rows], processes=processes)
        return [file.read_bytes() for file in files.values()]

    alone = written("alone", 1)
    assert all(alone)
    monkeypatch.setattr(table_writing, "_ALONE", 1)
    monkeypatch.setattr(table_writing, "_BATCH", 9)
    assert written("shared", 2) == alone
    monkeypatch.setattr(batches, "MOST_BYTES", 400)
    pairs = given_records(prepared.paired)
    assert len(batches.batches_of(Table(tmp_path, pairs, "pairs").sizes, rows=9)) > len(pairs) / 4
    assert written("long", 2) == alone
    rows["labels"] = [*rows["labels"], {**rows["labels"][0], "label": 2}]
    with pytest.raises(PipelineError, match=rf"labels\.jsonl, row {len(rows['labels'])}, label"):
        written("refused", 2)
    assert [file.name for file in (tmp_path / "refused").iterdir()] == ["pairs.jsonl"]
