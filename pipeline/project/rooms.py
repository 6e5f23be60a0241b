"""Which rooms of pipeline/ import which, drawn from the imports: `make graph` writes it into docs/architecture.md."""

import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.project.closure import imported_modules

DOCUMENT = Path("docs/architecture.md")
_BEGIN, _END = "<!-- rooms: written by `make graph` -->\n", "<!-- end of the rooms -->\n"
Rooms = Mapping[str, frozenset[str]]


def room_imports(root: Path) -> Rooms:
    """By room, the other rooms that its modules import.

    Args:
        root: of the repository.
    """
    folders = [path.parent for path in sorted((root / "pipeline").glob("*/__init__.py"))]
    rooms = {folder.name for folder in folders}
    return {
        folder.name: frozenset(
            name.split(".")[1]
            for path in folder.rglob("*.py")
            for name in imported_modules(path)
            if name.startswith("pipeline.") and name.split(".")[1] in rooms - {folder.name}
        )
        for folder in folders
    }


def drawing(rooms: Rooms) -> str:
    """A Mermaid flowchart without the arrows that follow from others, which nobody could read.

    Args:
        rooms: of `room_imports`, without a cycle.
    """
    arrows = [
        f"    {room} --> {other}"
        for room in sorted(rooms)
        for other in sorted(rooms[room])
        if not any(other in _reached(rooms, between) for between in rooms[room] - {other})
    ]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, "```", ""])


def _reached(rooms: Rooms, start: str) -> set[str]:
    todo, seen = [start], set[str]()
    while todo:
        for other in rooms[todo.pop()] - seen:
            seen.add(other)
            todo.append(other)
    return seen


def with_drawing(document: str, rooms: Rooms) -> str:
    """The document with the drawing between its two marks, and all else as it is."""
    before, _, rest = document.partition(_BEGIN)
    _, mark, after = rest.partition(_END)
    if not mark:
        raise ValueError(
            f"{DOCUMENT} lacks the lines {_BEGIN.strip()} and {_END.strip()}, between which rooms are drawn"
        )
    return f"{before}{_BEGIN}\n{drawing(rooms)}\n{_END}{after}"


def main() -> None:
    """Draw the rooms into the document of the repository in this folder."""
    try:
        DOCUMENT.write_text(with_drawing(DOCUMENT.read_text(), room_imports(Path.cwd())))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
