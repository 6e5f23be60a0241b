"""Progress bars with speed and time left, the same on every loop; of several processes the first shows them."""

import os
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from pipeline.group import is_first


def progress_bar(
    items: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    initial: int = 0,
    title: str,
    unit: str,
    shown: bool = True,
) -> "tqdm[Any]":
    """A progress bar; in a log file (CI) it prints every ten seconds, not ten times a second.

    Args:
        items: to iterate over, None for a bar that is updated by hand.
        total: how many there are.
        initial: how many an earlier execution has done.
        title: stands before the bar.
        unit: of what is counted.
        shown: whether anyone sees it.
    """
    interval = 10.0 if os.environ.get("CI") else 0.5
    return tqdm(
        items,
        total=total,
        initial=initial,
        desc=title,
        unit=unit,
        dynamic_ncols=True,
        mininterval=interval,
        disable=not (shown and is_first()),
    )
