"""Tables without a header line: which column is which, judged by the last one, and how to add a header."""

import re
import shlex
from pathlib import Path

from pipeline.params.codings import code_number
from pipeline.params.data import Data
from pipeline.reading.rows import BROKEN, Rows, SpanRows
from pipeline.reading.sources import Source
from pipeline.reading.unpacking import PACKED
from pipeline.reading.verdicts import read_verdict

_USUAL = {2: "prompt response", 3: "prompt chosen rejected", 4: "prompt response_a response_b winner"}
"""Example names of columns, by how many there are."""
_FORMATS = {2: "demonstrations", 3: "preference_pairs", 4: "comparisons"}
_SENTENCE = re.compile(r"[.!?:;…]$|\S+(\s+\S+){3,}")


def header_hint(source: Source, *, strict: bool = False) -> str:
    """How to name the columns of a table whose first line is a row, or may be one; empty for what is not a table.

    Args:
        strict: only where there is no header, or a name in it is a sentence.
    """
    rows, names = source.rows, source.rows.column_names
    if not isinstance(rows, SpanRows) or rows.delimiter is None or source.path is None:
        return ""
    if strict and not (source.unnamed or any(map(_SENTENCE.search, names))):
        return ""
    usual = _USUAL.get(len(names), " ".join(f"name_{number}" for number in range(1, len(names) + 1))).split()
    line = rows.delimiter.join(usual)
    how = f"Write a line with their names above it, in their order, such as {line!r}"
    if source.path.suffix.lower() not in PACKED:
        inserted = f"{_first_line(source.path)}i {line}".replace("\t", "\\t")
        how += f", as with `sed -i {shlex.quote(inserted)} {shlex.quote(str(source.path))}`"
    if not source.unnamed:
        return (
            f"If the first line of {source.name} is a row and not the names of its columns: {how[0].lower()}{how[1:]}."
        )
    declared = ""
    if form := _FORMATS.get(len(names)):
        named = ", ".join(f"{field}: {name}" for field, name in zip(usual, names, strict=True))
        declared = f", or add to params.yaml under data: format: {form} and columns: {{{named}}}"
    return f"Its first line is a row, so that its columns have no names. {how}{declared}, if that is what they hold."


def _first_line(path: Path) -> int:
    """Number of the first line with cells; Excel may write the delimiter in a line before it."""
    with path.open("rb") as stream:
        return 2 if stream.read(8).lstrip(b'\xef\xbb\xbf"').lower().startswith(b"sep=") else 1


def guess_columns(data: Data, rows: Rows) -> Data:
    """`data` with the columns of a table without a header, by what the last one holds: a verdict, or a score.

    0, 1 and 2 may be either, and are left for the user to name.
    """
    names = rows.column_names
    head = [row for row in (rows[index] for index in range(min(len(rows), 100))) if BROKEN not in row]
    last = [row[names[-1]] for row in head]
    numbers = [code_number(cell) for cell in last]
    fields = ["prompt", "context"]
    if len(names) in (4, 5) and all(read_verdict(cell) for cell in last):
        answers = ["response_a", "response_b", "winner"]
    elif len(names) in (3, 4) and None not in numbers and not set(numbers) <= {0, 1, 2}:
        answers = ["response", "score"]
    else:
        return data
    fields = [*fields[: len(names) - len(answers)], *answers]
    guessed = dict(zip(fields, [*names[: len(fields) - len(answers)], *names[-len(answers) :]], strict=True))
    given = {field: name for field, name in data.columns.model_dump().items() if name in names}
    return data.model_copy(update={"columns": data.columns.model_copy(update={**guessed, **given})})
