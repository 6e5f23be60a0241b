"""Values of params.yaml by dotted key, as DVC's lock file and MLflow have them."""

from collections.abc import Mapping, Sequence
from typing import Any

DottedParams = Mapping[str, Any]
"""Such as `{"optimize.dpo.beta": 0.1}`. What a value is depends on its key: `Params` has the types."""


def declared(names: Sequence[str], values: DottedParams) -> DottedParams:
    """The values whose keys are among `names`, or lie in a section that is."""
    return {
        key: value for key, value in values.items() if any(key == name or key.startswith(f"{name}.") for name in names)
    }
