"""Compares parameters of dvc.lock with those that a run logged: MLflow keeps them as texts, and cuts long ones off."""

import ast
import re
from collections import Counter
from typing import Any

from pipeline.tracking.tracker import VALUE_LIMIT

_TOKEN = re.compile(r"[\w.+-]+")


def same_value(locked: Any, logged: str) -> bool:
    """Whether a value of dvc.lock is the one that a run logged as text.

    Numbers are compared as numbers (5e-06 is 0.000005, 1 is 1.0, and True is neither), mappings regardless of the order
    of their keys. Of a text that was cut off, the part that is left is compared.
    """
    text = str(locked)
    if text[:VALUE_LIMIT] == logged:
        return True
    if len(logged) < VALUE_LIMIT:
        return _plain(locked) == _plain(_parsed(logged))
    if isinstance(locked, str):
        return False
    # the keys of a mapping may stand in another order, so that neither text begins like the other
    whole, told = Counter(_tokens(text)), Counter(_tokens(logged)[:-1])
    return len(text) >= VALUE_LIMIT and told <= whole


def _parsed(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _plain(value: Any) -> Any:
    """A form in which values that mean the same are equal."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _tokens(text: str) -> list[Any]:
    """Words and numbers of a text in their order; numbers are parsed."""
    return [_plain(token) for token in _TOKEN.findall(text)]
