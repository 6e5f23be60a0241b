"""The lines of params.yaml that a message offers, as somebody would copy them."""

import re
from typing import Any

import yaml

from pipeline.params.data import Data
from tests.tiny_models import changed


def options(message: str) -> dict[str, dict[str, Any]]:
    """What each choice sets under data, by its words."""
    parts = re.split(r"^  # if (.*):\n", message, flags=re.MULTILINE)[1:]
    return {words: yaml.safe_load(lines) for words, lines in zip(parts[::2], parts[1::2], strict=True)}


def copied(data: Data, lines: dict[str, Any]) -> Data:
    """`data` with these lines in place of its own."""
    whole = data.model_dump()
    nested = {name: {**whole[name], **value} for name, value in lines.items() if isinstance(value, dict)}
    return changed(data, **{**lines, **nested})
