"""Vote files are a data source like any other: `data.source: data/labels/*.jsonl`, `data.format: auto`."""

from pathlib import Path

import pytest

from pipeline.data.preparation import prepare
from pipeline.data.raw_rows import RawRows
from pipeline.data.shares import fill_shares
from pipeline.labelling.items import load_items
from pipeline.labelling.session import Session
from pipeline.labelling.vote_log import VoteLog
from pipeline.params.schema import Params
from pipeline.preferences.given import given_records
from pipeline.reading.formats import detect_format, select_fields
from pipeline.reading.sources import load_sources
from tests.labelling.serving import ITEMS, write_items
from tests.tiny_models import changed


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_majority_of_real_vote_files(root: Path, params: Params) -> None:
    items = load_items(write_items(root / "items.jsonl"), root, seed=0)
    winner_of = {"ann": "chosen", "bob": "rejected", "cy": "rejected"}
    for who, wanted in winner_of.items():
        log = VoteLog(root / f"data/labels/{who}.jsonl")
        session = Session(items, log, who, seed=0)
        for row in ITEMS:
            side = "ab" if wanted == "chosen" else "ba"
            order = next(item for item in items if item.id == row["id"]).order_for(who, 0)
            session.vote(row["id"], "skip")
            session.vote(row["id"], "a" if order == side else "b")
        session.vote(ITEMS[0]["id"], "undo")
        session.vote(ITEMS[1]["id"], "skip")
        log.close()
    data = changed(
        params.data,
        source="data/labels/*.jsonl",
        format="auto",
        columns=dict.fromkeys(type(params.data.columns).model_fields),
    )
    sources = load_sources(data)
    resolved = fill_shares([detect_format(source, data) for source in sources], rows=54)
    rows = [RawRows(one.name, select_fields(one, own), own) for one, own in zip(sources, resolved, strict=True)]
    prepared = prepare(rows, seed=0)
    counts = {fate: count for fate, count in prepared.counts.items() if fate.startswith("dropped.")}
    # of each annotator: eight skips that were replaced, and two votes that were taken back
    assert counts == {"dropped.superseded": 30, "dropped.undone": 3, "dropped.skipped": 3}
    assert sum(prepared.counts.values()) == len(prepared.fates) == sum(len(source.rows) for source in sources) == 54
    assert len(prepared.votes) == 6 and all(len(votes) == 3 for votes in prepared.votes)
    texts = {row["text"] for labels in prepared.labels.values() for row in labels if row["label"] == 1}
    texts |= {row["prompt"] + row["chosen"] for row in given_records(prepared.paired)}
    assert texts and all(": bad" in text for text in texts)
