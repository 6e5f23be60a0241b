"""The type of a file by its first bytes, for files that are not what their names say."""

import re

HEAD = 4096
"""Bytes that are looked at."""
_UNPACK = "Unpack it, and name the file or folder that was inside."
_PACKED = "Add {} to its name, or unpack it."
_TABLE = "Let its name end with {}."
_OTHER = "Export its rows as CSV or JSON Lines."
_SIGNATURES: dict[str, tuple[bytes, str]] = {
    "a gzip archive": (rb"\x1f\x8b\x08", _PACKED.format(".gz")),
    "a bzip2 archive": (rb"BZh[1-9]1AY&SY", _PACKED.format(".bz2")),
    "an xz archive": (rb"\xfd7zXZ\0", _PACKED.format(".xz")),
    "a Zstandard archive": (rb"\x28\xb5\x2f\xfd", _PACKED.format(".zst")),
    "an lz4 archive": (rb"\x04\x22\x4d\x18", _UNPACK),
    "a zip archive (or a workbook of Excel)": (rb"PK(\x03\x04|\x05\x06)", _UNPACK),
    "a tar archive": (rb".{257}ustar(\0|  \0)", _UNPACK),
    "a 7z archive": (rb"7z\xbc\xaf\x27\x1c", _UNPACK),
    "a rar archive": (rb"Rar!\x1a\x07", _UNPACK),
    "a Parquet table": (rb"PAR1[\x00-\x1f]", _TABLE.format(".parquet")),
    "an Arrow table": (rb"ARROW1\0\0|\xff\xff\xff\xff..\0\0[\x04-\x40]\0\0\0", _TABLE.format(".arrow")),
    "an old workbook of Excel": (rb"\xd0\xcf\x11\xe0", _OTHER),
    "an SQLite database": (rb"SQLite format 3\0", _OTHER),
    "a PDF": (rb"%PDF-", _OTHER),
    "a pickle, which may run code": (rb"\x80[\x02-\x05][c}\]\x95]", _OTHER),
    "a pointer of Git LFS, not the file": (rb"version https://git-lfs\.github\.com/spec/", "Run `git lfs pull`."),
    "a web page": (
        rb"(\xef\xbb\xbf)?\s*<(?i:!doctype html|html)[\s>]",
        "An address for a page was downloaded, not that of the file.",
    ),
}


def refuse_other_kind(head: bytes, *, kind: str = "texts") -> None:
    """Raise ValueError where the first bytes of a file say that it is of another type than it is read as.

    Args:
        head: HEAD bytes of it.
        kind: what it is read as, `texts` or the end of the name of its signature.
    """
    for name, (pattern, advice) in _SIGNATURES.items():
        if not name.endswith(kind) and re.match(pattern, head, re.DOTALL):
            raise ValueError(f"it is {name}. {advice}")
