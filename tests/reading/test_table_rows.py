"""Rows of a CSV file: what is a cell, a heading, a row, and what of a table is named as broken."""

from pathlib import Path

from pipeline.params.data import Data
from pipeline.reading.rows import BROKEN
from pipeline.reading.sources import load_sources
from tests.reading.labelled_files import refused, rows_of


def test_words_that_pandas_takes_for_nothing_stay_texts(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_text("text,label\nNone,NA\nnan,\n")
    assert rows_of(labelled) == [{"text": "None", "label": "NA"}, {"text": "nan", "label": None}]


def test_a_table_with_tabs_that_quotes_nothing(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_text('#id\ttext\n1\tthe "best" one\n2\t"open, and\n')
    assert rows_of(labelled) == [{"#id": "1", "text": 'the "best" one'}, {"#id": "2", "text": '"open, and'}]
    (root / "data/raw/rows.csv").write_text('#id\ttext\n1\t"two\nlines"\n')
    assert rows_of(labelled) == [{"#id": "1", "text": "two\nlines"}]


def test_a_table_without_a_header_keeps_its_first_row(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_text('"Why\nnot?",nan,a,b,(a)\nWhen?,nan,c,d,equal\n')
    (source,) = load_sources(labelled)
    assert source.unnamed and source.rows[0]["column_1"] == "Why\nnot?" and len(source.rows) == 2
    (root / "data/raw/rows.csv").write_text("prompt,response,\nWhy?,b,\n")
    (source,) = load_sources(labelled)
    assert not source.unnamed and source.rows[0]["prompt"] == "Why?"


def test_a_line_with_more_cells_than_the_header_is_a_row_with_a_reason(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_text("text,label\na,1\nb,0,extra\nc,0,\nd\n")
    assert [row.get(BROKEN, row.get("text")) for row in rows_of(labelled)] == ["a", "too_many_cells", "c", "d"]
    # as R writes it: the names of rows have no heading
    (root / "data/raw/rows.csv").write_text("text,label\n1,a,1\n2,b,0\n")
    assert "no row can be read (too_many_cells); its first line has 2 cells" in refused(labelled)


def test_a_quotation_mark_that_is_never_closed_is_named(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_text('text,label\na,1\n"b,0\nc,0\n')
    assert "the row that begins in line 3 opens a quotation mark that nothing closes" in refused(labelled)


def test_an_index_of_pandas_is_a_column_without_a_name(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_text(",text,label\n0,a,1\n1,b,0\n")
    (source,) = load_sources(labelled)
    assert not source.unnamed and source.rows[0] == {"Unnamed: 0": "0", "text": "a", "label": "1"}


def test_a_heading_that_is_repeated_is_named(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_text("prompt,chosen,chosen\na,b,c\n")
    assert "has 'chosen' twice" in refused(labelled)


def test_semicolons_separate_where_there_are_no_commas(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_text("text;label\na, or b;1\n")
    assert rows_of(labelled) == [{"text": "a, or b", "label": "1"}]


def test_a_header_without_rows_is_named(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_text("text,label\n")
    assert "rows.csv" in refused(labelled)


def test_a_line_of_a_table_that_is_not_utf8_is_a_row_with_a_reason(root: Path, labelled: Data) -> None:
    (root / "data/raw/rows.csv").write_bytes(b"text,label\ngood,1\ncaf\xe9,1\nfine,0\n")
    first, second, third = rows_of(labelled)
    assert (first["text"], third["text"]) == ("good", "fine")
    assert second == {BROKEN: "not_utf8", "line": "caf\\xe9,1"}
