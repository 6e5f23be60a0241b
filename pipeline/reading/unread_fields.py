"""What a layout or a format does not read of a row: columns, and keys inside objects, as the name in a message."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from pipeline.params.schema import Data
from pipeline.reading.chats import OF_TOOLS, WRAPPERS, Unreadable
from pipeline.reading.layouts.layout import Layout
from pipeline.reading.rows import Row
from pipeline.reading.written_messages import is_conversation, structure

_MESSAGE = frozenset({"role", "content", "from", "value", "text", "type", *WRAPPERS})
_SCORED = frozenset({"response", "text", "content", "score", "rating", "overall_score"})
_TREE = _MESSAGE | {"replies", "rank"}
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def unread_by_layout(rows: Iterable[Row], layout: Layout) -> list[str]:
    """Columns, and paths such as `answers.model`, that hold something and that the layout does not ask for.

    Args:
        rows: a sample; of a row that it refuses, what stands behind the cause says nothing.
    """
    read: set[str] = set()
    opened = [{name: structure(value) for name, value in row.items()} for row in rows]
    good = [row for row in opened if _is_read(layout, _watched(row, "", read))]
    return list(dict.fromkeys(path for row in good for path in _unread(row, "", read.__contains__)))


def unread_by_format(rows: Iterable[Row], data: Data, columns: Iterable[str]) -> list[str]:
    """Fields that nothing reads in a format that is no layout: keys of messages, scored responses and trees.

    Args:
        rows: a sample.
        data: resolved.
        columns: those that are read.
    """
    known = {str(data.columns.tree): _TREE, str(data.columns.responses): _SCORED}
    found: dict[str, None] = {}
    for row in rows:
        for name in columns:
            value = structure(row.get(name))
            if name in known or is_conversation(value):
                is_read = partial(_ends_with, known.get(name, _MESSAGE))
                found |= dict.fromkeys(_unread(_without_calls(value), name, is_read))
    return list(found)


def _without_calls(value: Any) -> Any:
    """Messages without what the chat template writes of tools: calls, and which one a tool answers."""
    if isinstance(value, list):
        return [_without_calls(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("tool_calls") or "tool" in (value.get("role"), value.get("from")):
        return {key: one for key, one in value.items() if key not in OF_TOOLS}
    return {key: _without_calls(one) if key in WRAPPERS else one for key, one in value.items()}


class _Watched(dict[str, Any]):
    """An object that notes the path of each key that somebody asks for."""

    def __init__(self, content: Row, path: str, read: set[str]) -> None:
        super().__init__(content)
        self._path, self._read = path, read

    def __getitem__(self, key: str) -> Any:
        self._read.add(_join(self._path, key))
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As of a dict."""
        return self[key] if key in self else default  # noqa: SIM401 (it would ask itself)


def _watched(value: Any, path: str, read: set[str]) -> Any:
    if isinstance(value, Mapping):
        return _Watched({key: _watched(one, _join(path, key), read) for key, one in value.items()}, path, read)
    return [_watched(one, path, read) for one in value] if isinstance(value, list) else value


def _is_read(layout: Layout, row: Row) -> bool:
    try:
        layout.convert(row)
    except Unreadable:
        return False
    return True


def _unread(value: Any, path: str, is_read: Callable[[str], bool]) -> Iterator[str]:
    """Paths of keys that hold something and are not read; what is inside these is not said, too."""
    if isinstance(value, list):
        for one in value:
            yield from _unread(one, path, is_read)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if is_read(inside := _join(path, key)):
                yield from _unread(one, inside, is_read)
            elif one not in _EMPTY:
                yield inside


def _ends_with(keys: frozenset[str], path: str) -> bool:
    return path.rpartition(".")[2] in keys


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
