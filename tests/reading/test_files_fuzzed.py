"""Whatever bytes a file holds, it is read, or an error names it: no traceback, and no row without a fate."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.data.preparation import RawRows, prepare
from pipeline.data.shares import fill_shares
from pipeline.errors import PipelineError
from pipeline.params.schema import Params
from pipeline.reading.formats import detect_format, prompts_by_file, select_fields
from pipeline.reading.sources import load_sources
from tests.tiny_models import changed

# the readers of pandas and pyarrow take a tenth of a second a file
FUZZ = settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)
objects = st.dictionaries(st.sampled_from(["prompt", "chosen", "rejected", "text", "label", "messages"]), values)
lines = st.one_of(
    objects.map(json.dumps),
    st.sampled_from(['{"prompt": "p", "chosen": "c", "rejected": "r"}', '{"text": "\\ud800", "label": 1}', "[1]", "{"]),
)
json_lines = st.lists(lines, max_size=4).map(lambda found: "\n".join(found).encode())
json_arrays = st.lists(objects, max_size=4).map(lambda found: json.dumps(found).encode())
cells = st.sampled_from(
    ["a", "", '"', '""', "1", "a1", "\n", "é", "prompt", "chosen", "rejected", "text", "label", "nan"]
)
tables = st.lists(st.lists(cells, max_size=4).map(",".join), max_size=5).map(lambda found: "\n".join(found).encode())
contents = {".jsonl": json_lines, ".json": json_arrays, ".csv": tables, ".tsv": tables}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/raw"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("suffix", [*contents, ".parquet", ".arrow"])
@FUZZ
@given(data=st.data())
def test_any_file_is_read_or_named(suffix: str, data: st.DataObject, folder: Path, params: Params) -> None:
    packer = data.draw(st.sampled_from(sorted(PACKERS))) if suffix in contents else ""
    whole = PACKERS[packer](data.draw(st.one_of(contents.get(suffix, st.binary(max_size=40)), st.binary(max_size=40))))
    # cut, as a download that broke off
    content = whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole
    # a name of its own: `datasets` caches by name and time
    path = folder / f"{uuid.uuid4().hex}{suffix}{packer}"
    path.write_bytes(content)
    columns = dict.fromkeys(params.data.columns.model_dump())
    settings_of = changed(params.data, source=f"data/raw/{path.name}", format="auto", columns=columns)
    try:
        (source,) = load_sources(settings_of)
        (resolved,) = prompts_by_file([source], [detect_format(source, settings_of)])
        [resolved] = fill_shares([resolved], rows=1)
        prepared = prepare([RawRows(source.name, select_fields(source, resolved), resolved)], seed=0)
    except PipelineError as error:
        assert path.name in str(error) or "data.columns" in str(error)
    else:
        assert {fate["row"] for fate in prepared.fates} == set(range(1, len(source.rows) + 1))


cell_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff", exclude_categories=["Cs"]), min_size=1)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")


def written(rows: list[dict[str, str]], suffix: str, line_end: str) -> str:
    """The rows as a file of this kind, with the line ends of some system."""
    if suffix == ".json":
        return json.dumps(rows, ensure_ascii=False, indent=1).replace("\n", line_end)
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + line_end for row in rows)
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
@settings(FUZZ, max_examples=60)
@given(data=st.data())
def test_every_encoding_packer_and_line_end_gives_the_same_rows(
    suffix: str, data: st.DataObject, folder: Path, params: Params
) -> None:
    names = ("prompt", "chosen", "rejected")
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(names, cell_texts)), min_size=1, max_size=3))
    encoding, packer = data.draw(st.sampled_from(ENCODINGS)), data.draw(st.sampled_from(sorted(PACKERS)))
    text = written(rows, suffix, data.draw(st.sampled_from(["\n", "\r\n", "\r"])))
    content = PACKERS[packer](text.encode(encoding))
    cut = bool(packer) and data.draw(st.booleans())
    path = folder / f"{uuid.uuid4().hex}{suffix}{packer}"
    path.write_bytes(content[: data.draw(st.integers(1, len(content) - 1))] if cut else content)
    settings_of = changed(params.data, source=f"data/raw/{path.name}", format="auto")
    if encoding.startswith("utf-8") and not cut:
        (source,) = load_sources(settings_of)
        assert list(source.rows) == rows
        return
    with pytest.raises(PipelineError) as error:
        load_sources(settings_of)
    named = "not a whole|cut short" if cut else f"it is {encoding[:6].upper()}"
    assert path.name in str(error.value) and re.search(named, str(error.value)), str(error.value)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@FUZZ
@given(data=st.data())
def test_one_bad_byte_is_one_row(suffix: str, data: st.DataObject, folder: Path, params: Params) -> None:
    rows = [{"prompt": f"p{number}", "chosen": "c", "rejected": "r"} for number in range(4)]
    bad = data.draw(st.integers(0, 3))
    content = written(rows, suffix, "\n").encode()
    content = content.replace(
        b"p%d" % bad, b"p" + data.draw(st.sampled_from([b"\xe9", b"\xff", b"\xc3", b"\xed\xa0\x80"]))
    )
    path = folder / f"{uuid.uuid4().hex}{suffix}"
    path.write_bytes(content)
    (source,) = load_sources(changed(params.data, source=f"data/raw/{path.name}", format="auto"))
    assert [row.get("broken_row") for row in source.rows] == ["not_utf8" if n == bad else None for n in range(4)]
    assert [row for row in source.rows if "broken_row" not in row] == rows[:bad] + rows[bad + 1 :]
