"""Shell commands in messages, ready to be copied."""

import shlex
from pathlib import Path

_SPECIAL = frozenset('"$`\\!')
"""Characters that a shell interprets between double quotation marks."""


def python_command(code: str) -> str:
    """A line for a shell that runs some Python, readable where its texts are in single quotation marks."""
    return f'python -c "{code}"' if not _SPECIAL & set(code) else f"python -c {shlex.quote(code)}"


def as_json_lines(path: Path) -> str:
    """The name of a file with the same rows as JSON Lines, beside it."""
    return str(path.parent / f"{path.name.split('.')[0]}.jsonl")
