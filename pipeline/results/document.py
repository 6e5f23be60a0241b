"""Base of the typed files under reports/, and what many of them hold: means with intervals."""

import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from pipeline.errors import PipelineError

Count = Annotated[int, Field(ge=0)]
VerdictCounts = dict[str, int | FiniteFloat]
"""How a judge came to its verdicts: comparisons by what became of them, and its bias for a position."""
D = TypeVar("D", bound="Document")


class Document(BaseModel):
    """Base of every file and of its parts: immutable, and without keys that it does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def as_json(self) -> dict[str, Any]:
        """What is written: fields without those that have their default, which not every file has."""
        return self.model_dump(exclude_defaults=True)

    def as_fields(self) -> dict[str, Any]:
        """The fields, to make a larger document of; nested ones stay documents."""
        return dict(self)


def not_finite(names: str) -> PipelineError:
    """What to tell of values that are NaN or infinite."""
    return PipelineError(
        f"what was measured is not a finite number (NaN or infinite): {names}. A model that diverged gives such: look "
        "at its training curve, and lower its learning rate or set runtime.precision to fp32."
    )


def as_pipeline_error(error: ValidationError) -> PipelineError | None:
    """What to tell of a document that was to be made of values that are not finite; None of another one."""
    wrong = {".".join(map(str, problem["loc"])): problem["type"] for problem in error.errors()}
    if set(wrong.values()) != {"finite_number"}:
        return None
    return not_finite(f"{', '.join(wrong)} of {error.title}")


def read_document(path: Path, kind: type[D]) -> D:
    """What another stage wrote.

    Raises:
        PipelineError: it is no such file.
    """
    try:
        return kind.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise PipelineError(f"{path}: {problems}. Run the stage that writes it again.") from None


class Interval(Document):
    """A mean with its 95 % interval."""

    mean: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat

    @property
    def rose(self) -> bool:
        """Whether the interval, of a difference, lies above 0: beyond chance."""
        return self.low > 0

    @property
    def fell(self) -> bool:
        """Whether the interval, of a difference, lies below 0: beyond chance."""
        return self.high < 0
