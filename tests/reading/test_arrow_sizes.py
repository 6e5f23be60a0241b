"""What tables say of their size is what they have unpacked."""

import contextlib
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import PipelineError
from pipeline.params.schema import Params
from pipeline.reading.arrow_sizes import unpacked_size
from pipeline.reading.sources import load_sources
from tests.tiny_models import changed

TABLE = pa.table(
    {
        "prompt": ["x" * 1000, None] * 500,
        "number": list(range(1000)),
        "kind": pa.array(["a" * 500, "b" * 500] * 500).dictionary_encode(),
        "turns": [[{"role": "user", "content": "y" * 200}]] * 1000,
    }
)


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_of_arrow_files_and_streams(tmp_path: Path, new: object, compression: str | None) -> None:
    path = tmp_path / "rows.arrow"
    with new(path, TABLE.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:  # type: ignore[operator]
        writer.write_table(TABLE, max_chunksize=300)
    # the buffers of a batch are padded to 64 bytes
    assert TABLE.nbytes <= unpacked_size(path, is_parquet=False) <= 1.05 * TABLE.nbytes
    whole = path.read_bytes()
    for size in range(0, len(whole), max(1, len(whole) // 50)):
        path.write_bytes(whole[:size])
        with contextlib.suppress(pa.ArrowException, OSError):
            unpacked_size(path, is_parquet=False)


def test_a_damaged_message_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rows.arrow"
    with pa.ipc.new_file(path, TABLE.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(TABLE)
    whole = path.read_bytes()
    for at in range(8, 3000, 41):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            load_sources(changed(params.data, source="rows.arrow", format="auto"))
        except PipelineError as error:
            assert "rows.arrow" in str(error)
