"""JSON whose top is an object around the rows is read, or refused by what it is."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.errors import PipelineError
from pipeline.reading.json_rows import load_json_rows
from pipeline.reading.sources import Source

ROWS = [{"prompt": f"Où? {at}", "chosen": f"a{at}", "rejected": f"b{at}", "score": at / 3} for at in range(4)]
CHAT = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
Load = Callable[..., Source]


@pytest.fixture
def load(load_bytes: Load) -> Load:
    def load(content: Any, *, indent: int | None = None, name: str = "rows.json", **changes: Any) -> Source:
        text = content if isinstance(content, str) else json.dumps(content, indent=indent, ensure_ascii=False)
        return load_bytes(name, text.encode(), **changes)

    return load


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    ("content", "note"),
    [
        ({"data": ROWS}, ""),
        ({"anything": ROWS}, ""),
        ({"train": ROWS}, ""),
        (
            {"version": "1.0", "data": ROWS, "info": {"by": ["Ann"]}},
            "data is read (4 rows), and nothing of version, info",
        ),
        ({"schema": {"fields": [{"name": "prompt"}]}, "data": ROWS}, "data is read (4 rows), and nothing of schema"),
        ({"test": ROWS[:1], "train": ROWS}, "train is read (4 rows), and nothing of test (1 rows)"),
        ({"train": ROWS, "validation": [], "seed": 3}, "train is read (4 rows), and nothing of validation, seed"),
    ],
)
def test_rows_inside_an_object_are_read(
    content: Any, note: str, indent: int | None, load: Load, said: list[str]
) -> None:
    source = load(content, indent=indent)
    assert list(source.rows) == ROWS and len(said) == bool(note)
    assert not note or f"rows.json: of its object {note}" in said[0]


def test_the_split_of_params_is_read(load: Load) -> None:
    assert list(load({"train": ROWS[1:], "test": ROWS[:1]}, split="test").rows) == ROWS[:1]
    assert list(load({"helpful": ROWS[1:], "harmless": ROWS[:1]}, split="harmless").rows) == ROWS[:1]


@pytest.mark.parametrize("keys", [("dev", "test"), ("helpful", "harmless")])
def test_without_the_split_of_params_it_says_which_there_are(keys: tuple[str, str], load: Load) -> None:
    with pytest.raises(PipelineError, match=r"Set data\.split to one of them \(it is 'train'\)") as error:
        load(dict(zip(keys, (ROWS, ROWS[:1]), strict=True)))
    assert f"under {keys[0]} (4), {keys[1]} (1)" in str(error.value)
    command, _, file = str(error.value).split("`")[1].partition(" > ")
    written = subprocess.run([sys.executable, *shlex.split(command)[1:]], check=True, capture_output=True, text=True)
    assert file == f"{keys[0]}.jsonl" and list(load(written.stdout, name=file).rows) == ROWS


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"messages": CHAT}, "messages"),
        ({"conversations": [{"from": "human", "value": "Q"}]}, "conversations"),
        ({"chosen": CHAT, "rejected": CHAT}, "chosen"),
        ({"prompt": "Q", "answers": [{"answer": "x", "rank": 1}, {"answer": "y", "rank": 2}]}, "answers"),
        ({"prompt": "Q", "responses": ["x", "y"], "scores": [1, 2]}, "responses"),
        ({"chosen": CHAT[1], "rejected": CHAT[1]}, "chosen"),
        ({"prompt": "Q", "label": {"0": 0.1, "1": 0.9}}, "label"),
        ({"responses": ["x", "y"], "scores": [1, 2]}, "responses"),
    ],
)
def test_a_file_of_one_row_is_no_object_around_rows(row: dict[str, Any], column: str, load: Load) -> None:
    for indent in (None, 1):
        assert [one[column] for one in load(row, indent=indent).rows] == [row[column]]


def test_objects_one_after_another_stay_rows(load: Load, said: list[str]) -> None:
    rows = [{"data": [{"prompt": "Q"}]}, {"data": [{"prompt": "R"}]}]
    for text in ("\n".join(map(json.dumps, rows)), "\n".join(json.dumps(row, indent=1) for row in rows)):
        assert list(load(text).rows) == rows and not said


@pytest.mark.parametrize("orient", ["columns", "index", "split"])
@pytest.mark.parametrize("indent", [None, 1])
def test_tables_by_columns_are_refused_with_the_line_that_writes_rows(
    orient: Any, indent: int | None, load: Load
) -> None:
    text = pd.DataFrame(ROWS).to_json(orient=orient, indent=indent, double_precision=15)
    with pytest.raises(PipelineError, match=rf"orient='{orient}' of pandas") as error:
        load(text)
    assert 'df.to_json(path, orient="records", lines=True)' in str(error.value)
    command = shlex.split(str(error.value).split("`")[1])
    subprocess.run([sys.executable, *command[1:]], check=True)
    rows = list(load(Path("data/raw/rows.jsonl").read_text(), name="rows.jsonl").rows)
    assert [{**row, "score": pytest.approx(row["score"])} for row in ROWS] == rows


def test_a_list_for_each_column_is_refused(load: Load) -> None:
    with pytest.raises(PipelineError, match="it holds a list for each column") as error:
        load({name: [row[name] for row in ROWS] for name in ROWS[0]})
    subprocess.run([sys.executable, *shlex.split(str(error.value).split("`")[1])[1:]], check=True)
    assert len(load(Path("data/raw/rows.jsonl").read_text(), name="rows.jsonl").rows) == len(ROWS)


def test_an_answer_of_the_viewer_of_hugging_face_is_named(load: Load) -> None:
    with pytest.raises(PipelineError, match="viewer of Hugging Face") as error:
        load({"features": [{"name": "prompt"}], "rows": [{"row_idx": at, "row": row} for at, row in enumerate(ROWS)]})
    command = shlex.split(str(error.value).split("`")[1].partition(" > ")[0])
    written = subprocess.run([sys.executable, *command[1:]], check=True, capture_output=True, text=True).stdout
    assert list(load(written, name="rows.jsonl").rows) == ROWS


def test_an_object_that_is_broken_says_so(load: Load) -> None:
    with pytest.raises(PipelineError, match=r"cannot read data/raw/rows\.json"):
        load('{"data": [{"prompt": "Q"}, {"prompt"')


def test_a_benchmark_with_several_splits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"train": ROWS, "test": ROWS}))
    with pytest.raises(ValueError, match=r"lists of rows under train \(4\), test \(4\)\. Write each into a file"):
        load_json_rows(path, limit=2**20)


def test_an_object_of_many_rows_is_read_row_by_row(load: Load, tmp_path: Path) -> None:
    rows = [{"prompt": f"{at} " + "word " * 100, "chosen": "a", "rejected": "b"} for at in range(9000)]
    source = load({"data": rows}, max_row_megabytes=0.01)
    assert len(source.rows) == 9000 and source.rows[8999] == rows[-1]
