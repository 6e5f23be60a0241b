"""Columns that hold bytes where texts are read, as a table in Parquet may."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.reading.commands import python_command
from pipeline.reading.rows import BROKEN
from pipeline.reading.sources import Source

_READ = 20
"""Rows that are looked at."""
_SHOWN = 60


def refuse_bytes(source: Source, names: Iterable[str], *, of_texts: bool = False) -> None:
    """Stop where these columns hold bytes.

    Args:
        names: of columns.
        of_texts: only where the bytes are those of a text, and not of a picture or a hash.

    Raises:
        PipelineError: with the columns, a value, and how to cast them.
    """
    rows = [row for row in islice(source.rows, _READ) if BROKEN not in row]
    found = {name: value for name in names for row in rows[::-1] for value in islice(_bytes_in(row.get(name)), 1)}
    if of_texts:
        found = {name: value for name, value in found.items() if _is_text(value)}
    if not found:
        return
    shown = ", ".join(f"{name}: {shorten(repr(value), _SHOWN)}" for name, value in found.items())
    hold = "holds" if len(found) == 1 else "hold"
    raise PipelineError(
        f"{source.name}: {' and '.join(found)} {hold} bytes (binary), where texts are read, as {{{shown}}}. "
        f"{_advise(source, list(found))} Or list in data.ignore_columns what may go unread."
    )


def _bytes_in(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _bytes_in(one)


def _is_text(value: bytes) -> bool:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return all(sign.isprintable() or sign.isspace() for sign in text)


def _advise(source: Source, names: list[str]) -> str:
    if source.path is None or source.path.suffix.lower() != ".parquet":
        return "Cast them to string where the table is written."
    new = source.path.with_suffix(".text.parquet")
    code = (
        f"import pyarrow.parquet as pq; t = pq.read_table({str(source.path)!r}); "
        f"[t := t.set_column(t.schema.get_field_index(n), n, t[n].cast('string')) for n in {names}]; "
        f"pq.write_table(t, {str(new)!r})"
    )
    return f"Cast them to string, as by `{python_command(code)}`, and put the new file in the place of the old one."
