"""A file that is something else than its name says is refused by what it is, not read as texts with a few bad rows."""

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from pipeline.errors import PipelineError
from pipeline.params.schema import Params
from pipeline.reading.sources import load_sources
from tests.tiny_models import changed

BODY = b"".join(b'{"prompt": "p%d", "chosen": "c", "rejected": "r"}\n' % number for number in range(100))
TABLE = pa.table({"prompt": ["a", "b"]})


def tar(content: bytes, mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo("rows.jsonl")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("rows.jsonl", content)
    return stream.getvalue()


def database(_: bytes) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table rows (prompt text)")
    return connection.serialize()


def table(_: bytes) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(TABLE, stream)
    return stream.getvalue()


def arrow(_: bytes) -> bytes:
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return stream.getvalue()


MAKERS: dict[str, Callable[[bytes], bytes]] = {
    "a gzip archive": gzip.compress,
    "a bzip2 archive": bz2.compress,
    "an xz archive": lzma.compress,
    "a Zstandard archive": zstandard.ZstdCompressor().compress,
    "a zip archive": zipped,
    "a tar archive": tar,
    "an SQLite database": database,
    "a Parquet table": table,
    "an Arrow table": arrow,
    "a pickle": lambda body: pickle.dumps({"rows": body}),
    "a pointer of Git LFS": lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "a web page": lambda _: b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>\n",
}


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params) -> Callable[[str, bytes], str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)

    def refuse(name: str, content: bytes) -> str:
        (tmp_path / "data/raw" / name).write_bytes(content)
        with pytest.raises(PipelineError) as error:
            load_sources(changed(params.data, source=f"data/raw/{name}", format="auto"))
        assert name in str(error.value)
        return str(error.value)

    return refuse


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".jsonl.gz", ".parquet", ".arrow"])
@pytest.mark.parametrize("kind", MAKERS)
def test_what_a_file_is_comes_before_what_its_name_says(
    refused: Callable[[str, bytes], str], kind: str, suffix: str
) -> None:
    if (kind, suffix) in {("a Parquet table", ".parquet"), ("an Arrow table", ".arrow")}:
        pytest.skip("that is what it is")
    content = MAKERS[kind](BODY)
    message = refused(f"rows{suffix}", gzip.compress(content) if suffix.endswith(".gz") else content)
    assert f"it is {kind}" in message


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_packed_tar_that_is_named_as_one_file(refused: Callable[[str, bytes], str], mode: str) -> None:
    """Its first row stands behind the header of the archive, and was lost with it."""
    assert "it is a tar archive. Unpack it" in refused(f"rows.jsonl.{mode[2:]}", tar(BODY, mode))


@pytest.mark.parametrize(
    "name", ["rows.zip", "rows.jsonl.zip", "rows.tgz", "rows.tar.gz", "rows.7z", "rows.txt", "rows"]
)
def test_names_that_are_not_read_say_what_to_do(refused: Callable[[str, bytes], str], name: str) -> None:
    assert "unpacked first" in refused(name, BODY)


def test_a_packed_table_is_to_be_unpacked(refused: Callable[[str, bytes], str]) -> None:
    assert "Unpack it first" in refused("rows.parquet.gz", gzip.compress(table(b"")))


def test_what_a_folder_has_and_is_not_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/raw"
    folder.mkdir(parents=True)
    for name in ("rows.jsonl", "README.md", "rows.jsonl.dvc"):
        (folder / name).write_bytes(BODY)
    data = changed(params.data, source="data/raw", format="auto")
    assert len(load_sources(data)) == 1 and capsys.readouterr().out == ""
    (folder / "more.zip").write_bytes(zipped(BODY))
    assert len(load_sources(data)) == 1 and "nothing is read of more.zip" in capsys.readouterr().out


def test_texts_that_begin_alike_are_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params) -> None:
    monkeypatch.chdir(tmp_path)
    for number, header in enumerate(("PAR1,PAR2", "PK,text", "BZh,text", "html,text", "version,text")):
        (tmp_path / f"{number}.csv").write_text(f"{header}\na,b\n")
        (source,) = load_sources(changed(params.data, source=f"{number}.csv", format="auto"))
        assert source.rows.column_names == header.split(",")
