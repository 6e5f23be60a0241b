"""Texts that are not UTF-8: their most likely encoding, and the command that converts them.

On a dozen lines in the encodings below charset-normalizer names the right one of half of them, and takes short Japanese
and Russian ones for Korean: it weighs many more encodings than tables are exported in.
"""

import re
import shlex
from itertools import islice, pairwise
from pathlib import Path

from pipeline.reading.rows import NOT_UTF8, SpanRows
from pipeline.reading.unpacking import PACKED

_KANA, _HAN, _HANGUL = r"\u3040-\u30ff", r"\u4e00-\u9fff", r"\uac00-\ud7a3"
_MARKS = frozenset(
    "\u2018\u2019\u201a\u201c\u201d\u201e\u2013\u2014\u2026\u20ac\xa0\xab\xbb\u3000\u3001\u3002\u300c\u300d\uff01\uff0c\uff1a\uff1f"
)
_EXPECTED = {
    "CP1252": "A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\xff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\xb4\xb0\xa1\xbf",
    "CP1250": "A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\u017f",
    "CP1251": "\u0401\u0410-\u044f\u0451\u2116",
    "KOI8-R": "\u0401\u0410-\u044f\u0451",
    "CP1253": "\u0384-\u03ce",
    "CP932": f"{_KANA}{_HAN}",
    "EUC-JP": f"{_KANA}{_HAN}",
    "CP949": _HANGUL,
    "BIG5": _HAN,
    "GB18030": _HAN,
}
"""What texts in each are made of, in the order in which equals are preferred."""
_PYTHON = {"KOI8-R": "koi8_r", "CP949": "cp949", "GB18030": "gb18030"}
_LATIN = ("CP1252", "CP1250")
_JAPANESE = ("CP932", "EUC-JP")
_USUAL_BYTES = {"GB18030": (0xB0, 0xD7), "BIG5": (0xA4, 0xC6)}
"""First bytes of the characters that Chinese texts mostly have: the others are rare."""
_LEAST = 0.85
"""Share of the characters beyond ASCII that have to be expected ones."""
_READ = 2**16
"""Bytes that are looked at."""
_ROWS = 1000
"""Rows likewise."""
_UNPACKERS = {".gz": "gzip -dc", ".xz": "xz -dc", ".bz2": "bzip2 -dc", ".zst": "zstd -dc"}


def advise_encoding(content: bytes, path: Path) -> str:
    """How to convert a file, some of whose bytes are no UTF-8, by the encoding that they most likely have."""
    if guess := guess_encodings(content):
        other = f" ({' or '.join(guess[1:])} would fit, too)" if guess[1:] else ""
        return (
            f"By its bytes it may be {guess[0]}, which is a guess{other}: convert it with "
            f"`{conversion(path, guess[0])}`, look whether the new file reads well, and put it in the place of the old "
            "one."
        )
    return (
        f"Convert it with `{conversion(path, 'ENCODING')}`, with what it was written in for ENCODING, such as CP1252 "
        "(Western Europe), CP1250, CP1251, CP932 (Japanese), GB18030 or BIG5 (Chinese), and put the new file in the "
        "place of the old one."
    )


def note_encoding(rows: SpanRows, path: Path) -> str:
    """What to do about the rows of a file that are no UTF-8; nothing where it has none, or they are damaged UTF-8.

    Raises:
        ValueError: they are all of its rows.
    """
    bad = [index for index, reason in rows.broken.items() if reason == NOT_UTF8]
    if not bad:
        return ""
    good = (index for index in range(len(rows)) if index not in rows.broken)
    if any(not rows.content(index).isascii() for index in islice(good, _ROWS)):
        return ""
    advice = advise_encoding(b"".join(rows.content(index) for index in bad[:_ROWS]), path)
    if len(bad) == len(rows):
        raise ValueError(f"it is not UTF-8. {advice}")
    return f"{len(bad):,} of {len(rows):,} rows are not UTF-8 and are dropped, the first is {bad[0] + 1}. {advice}"


def conversion(path: Path, encoding: str) -> str:
    """The command that writes a file anew as UTF-8, beside it."""
    name = path.with_suffix("") if path.suffix.lower() in PACKED else path
    old, new = shlex.quote(str(path)), shlex.quote(str(name.with_suffix(f".utf8{name.suffix}")))
    if unpack := _UNPACKERS.get(path.suffix.lower()):
        return f"{unpack} {old} | iconv -f {encoding} -t UTF-8 > {new}"
    return f"iconv -f {encoding} -t UTF-8 {old} > {new}"


def guess_encodings(content: bytes) -> list[str]:
    """Encodings in which most characters beyond ASCII are those of a language written in it, the likeliest first."""
    shares = {name: _expected(content[:_READ], name) for name in _EXPECTED}
    best = max(shares.values())
    return [name for name, share in shares.items() if share == best >= _LEAST]


def _expected(content: bytes, name: str) -> float:
    """Share of the characters beyond ASCII that texts in this encoding are made of, 0 where it cannot be that."""
    high = re.findall(rb"[\x80-\xff]+", content)
    # letters with accents stand alone, those of other scripts beside each other
    if (name in _LATIN) == (sum(map(len, high)) > 2 * len(high)):
        return 0.0
    try:
        # what is looked at may end inside a character
        text = content.decode(_PYTHON.get(name, name), "strict" if len(content) < _READ else "ignore")
    except UnicodeDecodeError:
        return 0.0
    letters = [sign for sign in text if not sign.isascii() and sign not in _MARKS]
    if name in _JAPANESE and not re.search(f"[{_KANA}]", text):
        return 0.0
    if not letters:
        return 1.0
    fitting = sum(1 for sign in letters if re.match(f"[{_EXPECTED[name]}]", sign) and _is_usual(sign, name))
    # a capital letter behind a small one is another letter in another encoding
    odd = sum(1 for one, other in pairwise(text) if one.islower() and other.isupper() and not other.isascii())
    return (fitting - odd) / len(letters)


def _is_usual(sign: str, name: str) -> bool:
    least, most = _USUAL_BYTES.get(name, (0, 0xFF))
    return least <= sign.encode(_PYTHON.get(name, name))[0] <= most
