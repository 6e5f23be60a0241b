"""A source of the user's own, from the bytes of its file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.sources import Source, load_sources
from tests.tiny_models import changed

NUMBERS = {
    "first": ["1", "a", "model_a", "first"],
    "second": ["2", "b", "model_b", "Text 2: it is"],
    "tie": ["0", "tie"],
    "skip": None,
}
LABELS = {"wanted": [1, True], "unwanted": [0, False]}


@pytest.fixture
def said() -> list[str]:
    """The warnings of opening it."""
    return []


@pytest.fixture
def load_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params, said: list[str]
) -> Callable[..., Source]:
    """Writes a file of data/raw, and opens it with settings of `data` besides."""
    monkeypatch.chdir(tmp_path)
    Path("data/raw").mkdir(parents=True)

    def load(name: str, content: bytes, **changes: Any) -> Source:
        Path("data/raw", name).write_bytes(content)
        data = changed(params.data, source=f"data/raw/{name}", format="auto", **changes)
        (source,) = load_sources(data, warn=said.append)
        return source

    return load


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root with data/raw, and a cache of its own for `datasets`."""
    (tmp_path / "data/raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


@pytest.fixture
def labelled(params: Params) -> Data:
    """Labelled texts in the files of data/raw."""
    return changed(params.data, format="labelled_texts", source="data/raw/*")


@pytest.fixture
def data(params: Params) -> Data:
    """Settings that read rows of any format, with declared codings of winners and labels."""
    declared: dict[str, Any] = {"winner_coding": NUMBERS, "label_coding": LABELS, "best_rank": "lowest"}
    return changed(params.data, format="auto", source="rows.jsonl", **declared)
