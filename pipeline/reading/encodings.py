"""Which encoding a file of texts has, where it is not plain UTF-8."""

import codecs
import os
from pathlib import Path
from typing import BinaryIO

from pipeline.reading.foreign_encodings import conversion
from pipeline.reading.signatures import HEAD, refuse_other_kind

_MARKS = {  # the longer first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_LEAST_NULS = 0.02
"""Share of NUL bytes; brackets, quotation marks and commas have one each in UTF-16, whatever the language."""
_ONE_SIDED = 0.8


def skip_mark(stream: BinaryIO, path: Path) -> int:
    """Where the texts of a UTF-8 file begin: behind its byte order mark, if it has one.

    Args:
        stream: its bytes, unpacked.
        path: its name, for the command that converts it.

    Raises:
        ValueError: the file is UTF-16 or UTF-32, with a mark or without, or no file of texts at all.
    """
    head = os.pread(stream.fileno(), HEAD, 0)
    refuse_other_kind(head)
    name = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None) or _guess(head)
    if name:
        raise ValueError(f"it is {name}, not UTF-8. Save it as UTF-8, as with `{conversion(path, name)}`.")
    return len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0


def _guess(head: bytes) -> str | None:
    """By the NUL bytes, which texts do not have, and on which side of each character they are."""
    for part in (head[:64], head):
        nuls = [part[side::4].count(0) for side in range(4)]
        total = sum(nuls)
        if total < max(2, _LEAST_NULS * len(part)):
            continue
        shares = [count / max(1, len(part[side::4])) for side, count in enumerate(nuls)]
        # the highest byte of four is 0 in every character, the next one in all but the rarest
        for name, (highest, next_one) in (("UTF-32LE", (3, 2)), ("UTF-32BE", (0, 1))):
            if shares[highest] == 1 and shares[next_one] >= _ONE_SIDED and total > len(part) / 2:
                return name
        if max(nuls[0] + nuls[2], nuls[1] + nuls[3]) >= _ONE_SIDED * total:
            return "UTF-16BE" if nuls[0] + nuls[2] > nuls[1] + nuls[3] else "UTF-16LE"
    return None
