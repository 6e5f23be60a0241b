"""What a check found: tables of what was read and would be used, errors, and warnings."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import PipelineError, Problem

_KEY = re.compile(
    r"\b(?:models|data|judge|fit_judge|sampling|train_sft|collect_preferences|validate_preferences|train_reward"
    r"|evaluate_reward|score_reference|optimize|runtime)(?:\.[a-z_]+)+"
)


@dataclass(frozen=True)
class Table:
    """Rows of cells under a title."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Findings:
    """What the parts of a check have found, in their order."""

    tables: list[Table] = field(default_factory=list)
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(self, message: str, key: str | None = None, value: Any = None) -> None:
        """Add a problem that stops the run, with the parameter that is the cause and a value for it."""
        self.errors.append(Problem(message, key, value))

    def warning(self, message: str, key: str | None = None, value: Any = None) -> None:
        """Add a problem that makes the run worth less than it could be, otherwise as `error`."""
        self.warnings.append(Problem(message, key, value))

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Make a PipelineError of the block an error of the check, which goes on with what does not depend on it."""
        try:
            yield
        except PipelineError as error:
            key = _KEY.search(str(error))
            self.errors.append(Problem(str(error), key[0] if key else None))
