"""Compressed files, unpacked whole before they are read: one that is cut short, or unpacks without end, is refused."""

import bz2
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

_CHUNK = 4096
"""Bytes given to a decompressor at once. Zstandard, the most able, makes 128 MiB of them at most."""
_ALWAYS_UNPACKED = 2**28
"""Bytes; a larger file may have at most _LARGEST_RATIO times the size of its archive. Texts have 3 to 20 times."""
_LARGEST_RATIO = 100
_XZ_MEMORY = 2**28
"""Bytes; `xz -9` needs a quarter of them to unpack."""
_MEMBERS: dict[str, Callable[[], Any]] = {
    ".gz": lambda: zlib.decompressobj(wbits=31),
    ".xz": lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY),
    ".bz2": bz2.BZ2Decompressor,
    ".zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
PACKED = tuple(_MEMBERS)
"""Suffixes of compressed files."""
_DAMAGED = (zlib.error, lzma.LZMAError, OSError, EOFError, zstandard.ZstdError)


def unpacked_suffix(path: Path) -> str:
    """The suffix, in lower case, that says how a file is written, without that of its compression."""
    return (path.with_suffix("") if path.suffix.lower() in PACKED else path).suffix.lower()


def open_unpacked(path: Path) -> BinaryIO:
    """The bytes of a file, compressed or not, with a descriptor to read at any place.

    A compressed file is unpacked into a temporary one without a name, which is gone when it is closed.

    Raises:
        ValueError: it is no such archive, cut short, followed by other bytes, empty, or much larger than it looks.
    """
    make = _MEMBERS.get(path.suffix.lower())
    if make is None:
        return path.open("rb")
    limit = max(_ALWAYS_UNPACKED, _LARGEST_RATIO * path.stat().st_size)
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 (the caller reads it)
    with path.open("rb") as packed:
        for block in _unpack(packed, make, path.suffix):
            if unpacked.tell() + len(block) > limit:
                raise ValueError(
                    f"it unpacks to more than {limit:,} bytes from {path.stat().st_size:,}, which is no text. "
                    "If you trust it, unpack it yourself and name the unpacked file."
                )
            unpacked.write(block)
    if not unpacked.tell():
        raise ValueError("its archive is empty.")
    unpacked.flush()
    unpacked.seek(0)
    return unpacked  # type: ignore[return-value]


def _unpack(packed: BinaryIO, make: Callable[[], Any], suffix: str) -> Iterator[bytes]:
    """Every member of an archive, whose end and checksum its decompressor has seen."""
    members, rest = 0, packed.read(_CHUNK)
    while rest:
        member = make()
        try:
            yield member.decompress(rest)
            while not member.eof and (chunk := packed.read(_CHUNK)):
                yield member.decompress(chunk)
        except _DAMAGED as error:
            where = (
                "behind the end of its archive are other bytes" if members else f"it is not a whole {suffix} archive"
            )
            raise ValueError(f"{where} ({error}). Copy or download it again.") from error
        if not member.eof:
            raise ValueError(f"its {suffix} archive is cut short. Copy or download it again.")
        members += 1
        rest = member.unused_data or packed.read(_CHUNK)
        while rest and not (rest := rest.lstrip(b"\0")):  # gzip and xz allow padding
            rest = packed.read(_CHUNK)
