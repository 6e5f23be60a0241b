"""Tables as people export them: every delimiter is found or named, and quotation marks never lose text in silence."""

import csv
import io
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.params.schema import Params
from pipeline.reading.formats import detect_format
from pipeline.reading.sources import load_sources
from tests.tiny_models import changed

ROWS = [{"prompt": "Why, then; or not?", "chosen": 'He said "hi"', "rejected": "b"}]
ROWS += [{"prompt": "Two\nlines", "chosen": "x|y", "rejected": "it's"}]
Read = Callable[[str], list[dict[str, str | None]]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params) -> Read:
    """Rows of a table with this content."""
    monkeypatch.chdir(tmp_path)
    Path("data/raw").mkdir(parents=True)

    def read(content: str) -> list[dict[str, str | None]]:
        Path("data/raw/rows.csv").write_text(content)
        (source,) = load_sources(changed(params.data, source="data/raw", format="auto"))
        return [dict(row) for row in source.rows]

    return read


def refused(read: Read, content: str) -> str:
    with pytest.raises(PipelineError) as error:
        read(content)
    assert str(error.value).startswith("data.source: cannot read data/raw/rows.csv: ")
    return str(error.value)


def written(delimiter: str, rows: list[dict[str, str]] = ROWS, **options: object) -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, lineterminator="\n", **options)  # type: ignore[arg-type]
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
@pytest.mark.parametrize("declared", [False, True])
def test_the_usual_delimiters_are_found(delimiter: str, declared: bool, read: Read) -> None:
    assert read((f"sep={delimiter}\n" if declared else "") + written(delimiter)) == ROWS


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n", "\ufeffsep=;\n"])
def test_the_line_that_excel_writes_above_a_table_is_no_row(first: str, read: Read) -> None:
    assert read(first + written(";")) == ROWS


@pytest.mark.parametrize("sign", [":", "^", "~"])
def test_another_delimiter_is_named_with_the_line_that_mends_it(sign: str, read: Read) -> None:
    message = refused(read, written(sign))
    assert f"has {sign!r} between prompt, chosen, rejected" in message
    command = message.split("`")[1].replace("FILE", "data/raw/rows.csv")
    subprocess.run(command, shell=True, check=True)
    assert read(Path("data/raw/rows.csv").read_text()) == ROWS


def test_delimiters_of_two_signs_and_tables_of_markdown_are_named(read: Read) -> None:
    assert "'||' between prompt, chosen" in refused(read, "prompt||chosen\na||b\n")
    assert "'::' between prompt, chosen" in refused(read, "prompt::chosen\na::b\n")
    assert "a table of Markdown" in refused(read, "| prompt | chosen |\n|---|:--|\n| a | b |\n")


def test_of_several_delimiters_in_the_first_line_the_one_that_fits_all_rows_counts(read: Read) -> None:
    found = read("prompt;chosen, good;rejected\na, b;c;d\ne;f;g\n")
    assert found[0] == {"prompt": "a, b", "chosen, good": "c", "rejected": "d"} and len(found) == 2
    assert read("prompt,good;better,rejected\na,b;c,d;e;f\n") == [
        {"prompt": "a", "good;better": "b;c", "rejected": "d;e;f"}
    ]


ESCAPED = [
    'q1,"He said \\"hi\\", ok",b\n',
    'q1,"He said \\"hi\\"",b\n',
    'q1,"He said \\"hi, you\\" ok","b"\n',
    'q1,"say \\"",b\nq2,"x",d\n',
    'q1,"say \\"",b\n',
    'q1,"a \\", b"\n',
]


@pytest.mark.parametrize("row", ESCAPED)
def test_quotation_marks_with_a_backslash_are_never_read_as_something_else(row: str, read: Read) -> None:
    message = refused(read, f"prompt,chosen,rejected\nq0,a,b\n{row}")
    assert "line 3 has a backslash before a quotation mark" in message


def test_the_command_for_backslashes_writes_the_same_texts(read: Read, params: Params) -> None:
    rows = [{**ROWS[0], "rejected": "C:\\dir\\"}, *ROWS]
    message = refused(read, written(",", rows, quoting=csv.QUOTE_ALL, doublequote=False, escapechar="\\"))
    command = shlex.split(message.split("`")[1])
    assert command[0] == "python"
    subprocess.run([sys.executable, *command[1:]], check=True)
    Path("data/raw/rows.csv").unlink()
    (source,) = load_sources(changed(params.data, source="data/raw", format="auto"))
    assert list(source.rows) == rows


def test_backslashes_of_plain_csv_stay(read: Read) -> None:
    rows = [{"prompt": "C:\\", "chosen": 'He said "x\\"', "rejected": '\\"'}, {**ROWS[0], "prompt": 'a\\",b'}]
    assert read(written(",", rows)) == rows
    assert read(written(",", rows, quoting=csv.QUOTE_ALL)) == rows
    assert read('prompt,chosen\nsay \\"hi\\" now,b\n') == [{"prompt": 'say \\"hi\\" now', "chosen": "b"}]


def test_a_cell_that_goes_on_behind_its_quotation_mark_is_named(read: Read) -> None:
    message = refused(read, 'prompt,chosen,rejected\nq,"He said "hi" there",b\n')
    assert "line 2 goes on behind the closing quotation mark" in message and '("")' in message


cells = st.text(st.sampled_from('a\\",;| \n'), min_size=1, max_size=6)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.tuples(cells, cells), min_size=1, max_size=3), every=st.booleans())
def test_whatever_the_texts_they_are_read_as_they_are(texts: list[tuple[str, str]], every: bool, read: Read) -> None:
    rows = [{"prompt": one, "chosen": other} for one, other in texts]
    table = written(",", rows, quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL)
    try:
        assert read(table) == rows
    except PipelineError as error:
        assert "backslash" in str(error) and '\\"' in table


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.tuples(cells, cells), min_size=1, max_size=3))
def test_escaped_marks_are_never_lost(texts: list[tuple[str, str]], read: Read) -> None:
    """Backslashes that are doubled are read as they stand, because nothing says that they escape."""
    rows = [{"prompt": one, "chosen": other} for one, other in texts]
    try:
        found = read(written(",", rows, quoting=csv.QUOTE_ALL, doublequote=False, escapechar="\\"))
    except PipelineError:
        return
    assert found == [{name: text.replace("\\", "\\\\") for name, text in row.items()} for row in rows]


ANSWERS = "What is it?{0}It is this{0}It is that{0}B\nWho are you?{0}Me{0}You{0}A\n"


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
@pytest.mark.parametrize("first", ["", "sep={0}\n"])
def test_a_line_with_names_is_written_above_a_table_without_one(
    delimiter: str, first: str, read: Read, params: Params
) -> None:
    read((first + ANSWERS).format(delimiter))
    data = changed(
        params.data, source="data/raw", format="auto", columns=dict.fromkeys(params.data.columns.model_dump())
    )
    with pytest.raises(PipelineError, match="is a row and not the names of its columns: write a line") as error:
        detect_format(load_sources(data)[0], data)
    subprocess.run(str(error.value).split("`")[1], shell=True, check=True)
    (source,) = load_sources(data)
    assert detect_format(source, data).format == "comparisons" and len(source.rows) == 2
    assert source.rows[0]["prompt"] == "What is it?"


@pytest.mark.parametrize("form", ["auto", "comparisons"])
def test_columns_without_names_are_declared_as_it_says(form: str, read: Read, params: Params) -> None:
    read(ANSWERS.replace("B\n", "2\n").replace("A\n", "1\n").format(","))
    columns = dict.fromkeys(params.data.columns.model_dump())
    coding = {"first": [1], "second": [2], "tie": None, "skip": None}
    data = changed(params.data, source="data/raw", format=form, columns=columns, winner_coding=coding)
    (source,) = load_sources(data)
    with pytest.raises(PipelineError, match="Its first line is a row") as error:
        detect_format(source, data)
    declared = str(error.value).split("columns: {")[1].split("}")[0]
    named = dict(one.split(": ") for one in declared.split(", "))
    resolved = detect_format(source, changed(data, format="comparisons", columns={**columns, **named}))
    assert resolved.columns.winner == ["column_4"]
