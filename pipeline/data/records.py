"""Records on disk: JSON Lines with stable ids."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from pipeline.errors import PipelineError

JsonObject = dict[str, Any]
"""The object in a line of JSON Lines; readers of a known kind of file make a type of it at once."""
R = TypeVar("R")
NO_ROWS = b"\n"
"""The content of a file of JSON Lines without a row."""
MEND = "Mend the line, or bring the file back with `dvc checkout`."
"""What to do about a line that cannot be read."""


def record_id(*texts: str) -> str:
    """Id of a record: 16 hex digits of the sha256 of its texts, the same wherever and whenever it is read."""
    joined = "\x1f".join(texts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:16]


def key_of(*texts: str) -> int:
    """The `record_id` of texts as a number below 2^64."""
    return int(record_id(*texts), 16)


def fold(text: str) -> str:
    """The text in a form for comparing: NFC, lower case, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def is_storable(text: str) -> bool:
    """Whether UTF-8 files and tokenizers can hold a text: no lone surrogate, no NUL."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def write_records(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write JSON Lines with sorted keys."""
    write_lines(path, map(record_line, rows))


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write complete lines: all, or no file where an error ends `lines`.

    Without any line a blank one is written, because DVC warns of a file without a byte.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    try:
        with draft.open("wb") as stream:
            stream.writelines(lines)
            if not stream.tell():
                stream.write(NO_ROWS)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def record_line(row: Mapping[str, object]) -> bytes:
    """A row as a line of JSON with sorted keys."""
    # ASCII escapes keep even a lone surrogate, which a quarantine file must be able to show
    return (json.dumps(row, sort_keys=True) + "\n").encode()


def read_records(path: Path, *, fields: Sequence[str] = ()) -> list[JsonObject]:
    """Read JSON Lines.

    Args:
        fields: keys that every row must have.

    Raises:
        PipelineError: a line is no JSON object or lacks a field, naming file and line.
    """
    rows = []
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if number == 1 and line.encode() == NO_ROWS:
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise PipelineError(f"{path}, line {number}: not JSON: {error}. {MEND}") from error
            if not isinstance(row, dict):
                raise PipelineError(f"{path}, line {number}: not an object but a {type(row).__name__}. {MEND}")
            missing = [field for field in fields if field not in row]
            if missing:
                raise PipelineError(f"{path}, line {number}: lacks {', '.join(missing)}. {MEND}")
            rows.append(row)
    return rows


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Read JSON Lines that a stage wrote.

    Args:
        kind: a TypedDict such as those of `table_rows`; its required keys are those that every row must have.

    Raises:
        PipelineError: see `read_records`.
    """
    required: frozenset[str] = getattr(kind, "__required_keys__")  # noqa: B009, mypy knows it of no type variable
    fields = [name for name in get_type_hints(kind) if name in required]
    return cast(list[R], read_records(path, fields=fields))
