"""What a refusal offers, as settings."""

import yaml

from pipeline.params.data import Data
from tests.tiny_models import changed


def chosen(message: str, data: Data) -> list[Data]:
    """The settings with the lines of each choice."""
    found = []
    for option in message.split("  # if ")[1:]:
        lines = yaml.safe_load(option.partition("\n")[2])
        columns = {**data.columns.model_dump(), **lines.pop("columns", {})}
        found.append(changed(data, **lines, columns=columns))
    return found
