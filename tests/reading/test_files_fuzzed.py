"""Whatever bytes a file holds, it is read, or an error names it: no traceback, and no row without a fate."""

import bz2
import gzip
import json
import lzma
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.data.preparation import RawRows, prepare
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
        prepared = prepare([RawRows(source.name, select_fields(source, resolved), resolved)], seed=0)
    except PipelineError as error:
        assert path.name in str(error) or "data.columns" in str(error)
    else:
        assert {fate["row"] for fate in prepared.fates} == set(range(1, len(source.rows) + 1))
