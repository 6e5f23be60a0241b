"""Items, a vote file and a session on them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.labelling.items import load_items
from pipeline.labelling.session import Session
from pipeline.labelling.vote_log import VoteLog
from tests.labelling.serving import write_items

SessionMaker = Callable[..., Session]


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    return tmp_path / "labels/ann.jsonl"


@pytest.fixture
def open_session(tmp_path: Path, votes: Path) -> Iterator[SessionMaker]:
    """Opens the vote file anew each time, as a restart does."""
    items = load_items(write_items(tmp_path / "items.jsonl"), tmp_path, seed=0)
    opened: list[VoteLog] = []

    def make(annotator: str = "ann") -> Session:
        for log in opened:
            log.close()
        opened.append(VoteLog(votes))
        return Session(items, opened[-1], annotator, seed=0, now=lambda: "2025-01-01T00:00:00Z")

    yield make
    for log in opened:
        log.close()
