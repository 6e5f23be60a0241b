"""Errors that a user can act on, and what params.yaml should say instead."""

from dataclasses import dataclass
from typing import Any


class PipelineError(Exception):
    """Something a user can mend: the message names the file, row or key and the fix.

    A stage that raises it stops with the message alone, without a traceback, and exit code 1.
    """


@dataclass(frozen=True)
class Problem:
    """What stops a run, or makes it worth less, with the key of params.yaml that is the cause."""

    message: str
    key: str | None = None
    value: Any = None
    """What to set the key to; None where only the user can know."""

    def __str__(self) -> str:
        change = f" Set {self.key}: {self.value}." if self.value is not None else ""
        return f"{self.message}{change}"
