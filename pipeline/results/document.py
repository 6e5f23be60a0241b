"""Base of the typed files under reports/, and what many of them hold: means with intervals."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from pipeline.errors import PipelineError

Count = Annotated[int, Field(ge=0)]


class Document(BaseModel):
    """Base of every file: immutable, and without keys that it does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


D = TypeVar("D", bound=Document)


def checked(kind: type[D], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values as they are, if they are a file of this kind: a key that is renamed in one place alone fails here.

    Raises:
        PipelineError: a value is no finite number.
        TypeError: they are no such file, with each key that is wrong.
    """
    try:
        kind.model_validate(values)
    except ValidationError as error:
        wrong = {".".join(map(str, one["loc"])): one for one in error.errors()}
        if all(one["type"] == "finite_number" for one in wrong.values()):
            raise PipelineError(
                f"what was measured is not a finite number (NaN or infinite): {', '.join(wrong)}. A model that "
                "diverged gives such: look at its training curve, and lower its learning rate or set runtime.precision "
                "to fp32."
            ) from error
        problems = "; ".join(f"{key}: {one['msg']}" for key, one in wrong.items())
        raise TypeError(f"these results are no {kind.__name__} (pipeline/results): {problems}") from error
    return values


class Interval(Document):
    """A mean with its 95 % interval."""

    mean: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat

    @property
    def rose(self) -> bool:
        """Of a difference: it lies above 0 beyond chance."""
        return self.low > 0

    @property
    def fell(self) -> bool:
        """Of a difference: it lies below 0 beyond chance."""
        return self.high < 0
