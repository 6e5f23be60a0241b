"""What a stage says of itself before it works, in lines that a terminal shows."""

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pipeline.project.graph import StageDeclaration
from pipeline.project.hashing import content_size

_WIDTH = 100
_OWN_CODE = Path("pipeline")


def announcement(name: str, declaration: StageDeclaration, root: Path) -> str:
    """Name, inputs with their sizes, parameters and outputs of a stage.

    Of input files inside pipeline/, such as prompts of a judge, only the number is told.
    """
    data = [dep for dep in declaration.data_deps if not dep.is_relative_to(_OWN_CODE)]
    own = Counter(dep.parent for dep in declaration.data_deps if dep.is_relative_to(_OWN_CODE))
    reads = [f"{dep.as_posix()} ({_size(content_size(root / dep))})" for dep in data]
    reads += [f"{count} file{'s' * (count > 1)} of {folder.as_posix()}" for folder, count in own.items()]
    lines = [
        f"▶ {name}",
        *wrapped("reads", reads),
        *wrapped("params", declaration.params),
        *wrapped("writes", [out.as_posix() for out in declaration.outs]),
    ]
    return "\n".join(lines)


def wrapped(title: str, items: Iterable[str]) -> list[str]:
    """A titled list as lines no wider than the terminal, and no wider than 100 columns."""
    width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
    # lines break between items only, so spaces inside an item are hidden from the wrapping
    text = ", ".join(item.replace(" ", "\0") for item in items)
    lines = textwrap.wrap(
        text, width - 10, break_long_words=False, break_on_hyphens=False
    )  # two spaces, and a title of eight
    return [f"  {title if number == 0 else '':8}{line}".replace("\0", " ") for number, line in enumerate(lines)]


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
