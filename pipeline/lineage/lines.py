"""Lines that fit a terminal."""

import shutil
import textwrap
from collections.abc import Iterable, Sequence

from pipeline.excerpts import shorten

_WIDTH = 100


def width() -> int:
    """Columns of the terminal, 100 where there is none."""
    return max(40, shutil.get_terminal_size((_WIDTH, 24)).columns)


def titled(title: str, items: Sequence[str], *, indent: int = 0) -> list[str]:
    """`title: item, item`, wrapped to the terminal's width less `indent` columns; continued lines are indented."""
    return textwrap.wrap(
        f"{title}: {', '.join(items)}",
        max(40, width() - indent),
        initial_indent="  ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def fitted(lines: Iterable[str]) -> list[str]:
    """The lines, each shortened with a mark where it is wider than the terminal."""
    limit = width()
    return [shorten(part, limit) for line in lines for part in line.split("\n")]
