"""Texts that a table holds as bytes are refused by their columns, and never read as lists of numbers."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import parquet

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.formats import detect_format
from pipeline.reading.sources import Source, load_sources
from tests.tiny_models import changed

TEXTS = {"prompt": "Où?", "chosen": "Là", "rejected": "b"}
PICTURE = b"\x89PNG\r\n\x1a\n\xff"


@pytest.fixture
def data(params: Params) -> Data:
    columns = dict.fromkeys(params.data.columns.model_dump())
    return changed(params.data, format="auto", source="data/raw/rows.parquet", columns=columns)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data/raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def columns(**others: Any) -> dict[str, Any]:
    return {name: pa.array([text] * 3) for name, text in TEXTS.items()} | others


def resolved(table: dict[str, Any], data: Data) -> Data:
    parquet.write_table(pa.table(table), data.source)
    return detect_format(load_sources(data)[0], data)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(4)])
def test_texts_as_bytes_are_named_with_the_command_that_casts_them(kind: pa.DataType, root: Path, data: Data) -> None:
    content = {name: pa.array([text.encode().ljust(4)] * 3, kind) for name, text in TEXTS.items() if name != "rejected"}
    with pytest.raises(PipelineError, match=r"prompt and chosen hold bytes \(binary\), where texts are read") as error:
        resolved(columns(**content), data)
    command = shlex.split(str(error.value).split("`")[1])
    subprocess.run([sys.executable, *command[1:]], check=True)
    cast = changed(data, source="data/raw/rows.text.parquet")
    (source,) = load_sources(cast)
    assert detect_format(source, cast).format == "preference_pairs"
    assert {name: text.strip() for name, text in source.rows[0].items()} == TEXTS


def test_bytes_in_lists_are_named(root: Path, data: Data) -> None:
    with pytest.raises(PipelineError, match=r"responses holds bytes \(binary\)"):
        resolved({"prompt": ["Q"], "responses": pa.array([[b"x", b"y"]]), "scores": pa.array([[1, 2]])}, data)


def test_other_bytes_matter_only_where_they_are_read(root: Path, data: Data) -> None:
    pictures = pa.array([None, PICTURE, PICTURE])
    assert resolved(columns(thumbnail=pictures), data).format == "preference_pairs"
    with pytest.raises(PipelineError, match=r"chosen holds bytes \(binary\)"):
        resolved(columns(chosen=pictures), data)
    assert resolved(columns(key=pa.array([b"a", b"b", b"c"])), data).format == "preference_pairs"


def test_what_a_format_without_pairs_would_leave_is_named(root: Path, data: Data) -> None:
    table = {"prompt": ["Q"], "response_0": pa.array([b"x"]), "response_1": pa.array([b"y"]), "better_response_id": [1]}
    with pytest.raises(PipelineError, match="response_0 and response_1 hold bytes"):
        resolved(table, data)
    with pytest.raises(PipelineError, match="frage holds bytes"):
        resolved({"frage": pa.array([b"x"])}, data)
    table = {"prompt": ["Q"], "response": ["x"], "key": pa.array([b"k"])}
    assert resolved(table, changed(data, ignore_columns=["key"])).format == "demonstrations"


def test_a_data_set_of_the_hub_likewise(data: Data) -> None:
    rows = Dataset.from_list([{**TEXTS, "prompt": b"Q"}])
    with pytest.raises(PipelineError, match=r"hub:a/b: prompt holds bytes .* Cast them to string where the table is"):
        detect_format(Source("hub:a/b", rows, 1.0), data)
