"""Archives are unpacked whole or refused, and nothing that a file unfolds to fills the memory."""

import bz2
import gzip
import lzma
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pipeline.reading.unpacking import open_unpacked
from tests.conftest import ROOT

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
FUZZ = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def unpacked(path: Path, content: bytes) -> bytes:
    path.write_bytes(content)
    with open_unpacked(path) as stream:
        return stream.read()


@pytest.mark.parametrize("suffix", PACKERS)
@FUZZ
@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=3), data=st.data())
def test_an_archive_is_whole_or_refused(suffix: str, parts: list[bytes], data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    members = [PACKERS[suffix](part) for part in parts]
    packed, whole = b"".join(members), b"".join(parts)
    if whole:
        assert unpacked(path, packed) == whole
    else:
        with pytest.raises(ValueError, match="is empty"):
            unpacked(path, packed)
    ends = {sum(map(len, members[: number + 1])) for number in range(len(members))}
    cut = data.draw(st.integers(1, len(packed) - 1).filter(lambda size: size not in ends))
    with pytest.raises(ValueError, match=r"cut short|not a whole|behind the end"):
        unpacked(path, packed[:cut])
    with pytest.raises(ValueError, match=r"behind the end|cut short"):
        unpacked(path, packed + data.draw(st.binary(min_size=1, max_size=20).filter(lambda end: end.strip(b"\0"))))


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_flipped_byte_is_noticed(suffix: str, tmp_path: Path) -> None:
    compressor = zstandard.ZstdCompressor(write_checksum=True)  # the only one of the four that has it as an option
    pack = compressor.compress if suffix == ".zst" else PACKERS[suffix]
    packed = bytearray(
        pack(random.Random(0).randbytes(10_000))
    )  # of some bytes bzip2 asks for more, not finding an end
    packed[5000] ^= 1
    with pytest.raises(ValueError, match="not a whole"):
        unpacked(tmp_path / f"rows{suffix}", bytes(packed))


def test_padding_and_skippable_frames_are_no_garbage(tmp_path: Path) -> None:
    assert unpacked(tmp_path / "a.gz", PACKERS[".gz"](b"one") + bytes(9000) + PACKERS[".gz"](b"two")) == b"onetwo"
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    assert unpacked(tmp_path / "a.zst", skippable + PACKERS[".zst"](b"one")) == b"one"


_READ = """
import sys
from pathlib import Path
from pipeline.errors import PipelineError
from pipeline.params.loading import load_params
from pipeline.reading.sources import load_sources
from tests.peak_memory import peak_kib
data = load_params().data.model_copy(update={"format": "auto"})
before = peak_kib()
for path in sys.argv[1:]:
    try:
        (source,) = load_sources(data.model_copy(update={"source": path}))
        said = next(iter({row["broken_row"] for row in source.rows if "broken_row" in row}), "read")
    except PipelineError as error:
        said = str(error)
    print(Path(path).name, peak_kib() - before, said)
"""
_MOST_KIB = 192 * 1024
_ROW = 272 * 2**20
_UNPACKED = 272 * 2**20


def write_bombs(folder: Path) -> dict[str, str]:
    """Files that unfold to much more than the limit of memory, or have such a row, with what must be said of each."""
    block = b'{"prompt": "aaaa"}\n' * 2**16
    for suffix, pack in PACKERS.items():
        (folder / f"packed.jsonl{suffix}").write_bytes(pack(block) * (_UNPACKED // len(block)))
    (folder / "line.jsonl").write_bytes(b'{"prompt": "a"}\n{"prompt": "' + b"a" * _ROW + b'"}\n{"prompt": "b"}\n')
    (folder / "array.json").write_bytes(b'[{"prompt": "' + b"a" * _ROW + b'"}]')
    (folder / "cell.csv").write_bytes(b'prompt,chosen\na,"' + b"a\n" * (_ROW // 2) + b'"\n')
    (folder / "nested.jsonl").write_text('{"prompt": "a"}\n{"prompt": ' + "[" * 10**6 + "]" * 10**6 + "}")
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["a" * 2**16])
    parquet.write_table(pa.table({"prompt": texts}), folder / "repeated.parquet")
    whole = pa.table({"prompt": pa.array(["a" * 2**16] * (_ROW // 2**16))})
    parquet.write_table(
        whole, folder / "page.parquet", compression="zstd", use_dictionary=False, data_page_size=2 * _ROW
    )
    for name, new in (("batch.arrow", pa.ipc.new_file), ("stream.arrow", pa.ipc.new_stream)):
        with new(folder / name, whole.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(whole)
    return {
        **{f"packed.jsonl{suffix}": "which is no text" for suffix in PACKERS},
        "line.jsonl": "row_too_large",
        "array.json": "data.max_row_megabytes",
        "cell.csv": "data.max_row_megabytes",
        "nested.jsonl": "nested_too_deeply",
        **dict.fromkeys(("repeated.parquet", "page.parquet", "batch.arrow", "stream.arrow"), "unfolds to more than"),
    }


@pytest.mark.slow(beside="test_an_archive_is_whole_or_refused")
def test_bombs_are_named_and_need_little_memory(tmp_path: Path) -> None:
    expected = write_bombs(tmp_path)
    command = [sys.executable, "-c", _READ, *(str(tmp_path / name) for name in expected)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    said = [line.split(" ", 2) for line in done.stdout.split("\n") if line.startswith(tuple(expected))]
    assert [name for name, _, _ in said] == list(expected), done.stderr
    for name, kib, sentence in said:
        assert expected[name] in sentence and int(kib) < _MOST_KIB, (name, kib, sentence)
