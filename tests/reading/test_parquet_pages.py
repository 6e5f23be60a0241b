"""Pages of Parquet are found by their headers, and what the footer says of their size is not believed."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.errors import PipelineError
from pipeline.params.schema import Params
from pipeline.reading import arrow_rows
from pipeline.reading.parquet_pages import page_sizes
from pipeline.reading.sources import load_sources
from tests.tiny_models import changed

TABLE = pa.table(
    {
        "prompt": ["x" * 1000, None] * 1500,
        "number": list(range(3000)),
        "kind": pa.array(["a" * 500, "b" * 500] * 1500).dictionary_encode(),
        "turns": [[{"role": "user", "content": "y" * 200, "last": True}]] * 3000,
    }
)


def said_by_footer(path: Path) -> int:
    metadata = parquet.read_metadata(path)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return sum(
        group.column(number).total_uncompressed_size for group in groups for number in range(metadata.num_columns)
    )


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize(
    "more", [{}, {"use_dictionary": False}, {"write_page_checksum": True}, {"data_page_size": 500}]
)
def test_of_an_honest_file_pages_and_footer_agree(tmp_path: Path, compression: str, version: str, more: dict) -> None:
    path = tmp_path / "rows.parquet"
    options = {"compression": compression, "data_page_version": version, "write_statistics": False, **more}
    parquet.write_table(TABLE, path, row_group_size=1000, **options)
    sizes = list(page_sizes(path, parquet.read_metadata(path)))
    # the footer counts the headers of the pages as well
    assert 0 <= said_by_footer(path) - sum(sizes) <= 80 * len(sizes)


def test_long_statistics_in_a_header(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"prompt": ["x" * 3000, "y" * 3000]}), path, write_statistics=True, compression="none")
    assert sum(page_sizes(path, parquet.read_metadata(path))) >= 6000


def varint(value: int, length: int) -> bytes:
    """Zigzag, in so many bytes."""
    value *= 2
    return bytes([value >> 7 * at & 127 | 128 * (at < length - 1) for at in range(length)])


def test_a_footer_that_says_less_than_the_page_unpacks_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(arrow_rows, "_ALWAYS_UNFOLDED", 2**20)
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"prompt": ["x" * 4_000_000]}), path, compression="zstd", use_dictionary=False)
    size = said_by_footer(path)
    whole, honest = path.read_bytes(), varint(size, 4)
    assert whole.count(honest) >= 1
    path.write_bytes(whole.replace(honest, varint(100, 4)))
    assert said_by_footer(path) == 100
    with pytest.raises(PipelineError, match="unfolds to more than"):
        load_sources(changed(params.data, source="rows.parquet", format="auto"))


def test_damaged_headers_are_refused_and_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(TABLE, path, row_group_size=1000)
    metadata, whole = parquet.read_metadata(path), path.read_bytes()
    refused = 0
    for at in range(4, 40):
        for byte in (0, 0x1C, 0x89, 0xFF):
            path.write_bytes(whole[:at] + bytes([byte]) * 12 + whole[at + 12 :])
            try:
                list(page_sizes(path, metadata))
            except (ValueError, OSError):
                refused += 1
    assert refused > 50
