"""Progress bars with speed and time left, the same on every loop."""

import os
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(items: Iterable[Any] | None = None, *, total: int | None = None, title: str, unit: str) -> "tqdm[Any]":
    """A progress bar; in a log file (CI) it prints every ten seconds, not ten times a second."""
    quiet = bool(os.environ.get("CI"))
    return tqdm(items, total=total, desc=title, unit=unit, dynamic_ncols=True, mininterval=10.0 if quiet else 0.5)
