"""Base of the typed files under reports/, and what many of them hold: means with intervals."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

Count = Annotated[int, Field(ge=0)]


class Document(BaseModel):
    """Base of every file: immutable, and without keys that it does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


D = TypeVar("D", bound=Document)


def checked(kind: type[D], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values as they are, if they are a file of this kind: a key that is renamed in one place alone fails here.

    Raises:
        TypeError: they are not, with each key that is wrong.
    """
    try:
        kind.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
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
