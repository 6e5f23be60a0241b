"""Values of params.yaml by dotted key, as DVC's lock file and MLflow have them."""

from collections.abc import Mapping
from typing import Any

DottedParams = Mapping[str, Any]
"""Such as `{"optimize.dpo.beta": 0.1}`. What a value is depends on its key: `Params` has the types."""
