"""A lineage as text for a terminal."""

from collections.abc import Mapping, Sequence

from pipeline.lineage.lines import fitted, titled
from pipeline.lineage.tree import Node
from pipeline.project.defaults import Defaults, main_params

_SHOWN_FILES = 10
"""Files of a folder of raw data that are listed without `--full`."""


def render(
    node: Node, defaults: Defaults, *, unused: Mapping[str, Sequence[str]], full: bool = False, lock: str | None = None
) -> str:
    """The tree as text; a stage is shown once.

    Args:
        node: its root.
        defaults: what parameters are compared with.
        unused: columns that nothing read, by source.
        full: show all parameters, not only the main and the changed ones, and the code with its hashes.
        lock: date and commit of the last change of dvc.lock; None if it was never committed.
    """
    lines = [f"dvc.lock of {lock}"] if lock else ["dvc.lock was never committed"]
    lines.append(f"defaults: {defaults.label}")
    _render(node, 0, lines, set(), _Style(defaults, unused, full))
    return "\n".join(fitted(lines))


class _Style:
    def __init__(self, defaults: Defaults, unused: Mapping[str, Sequence[str]], full: bool) -> None:
        self.defaults = defaults
        self.unused = unused
        self.full = full


def _render(node: Node, depth: int, lines: list[str], seen: set[str], style: _Style) -> None:
    indent = "  " * depth
    rows = f"  {node.rows} rows" if node.rows is not None else ""
    written = "[folder of outputs]" if node.inputs else "[source]"
    origin = f"<- {node.stage.name}" if node.stage is not None else written
    again = node.stage is not None and node.stage.name in seen
    lines.append(f"{indent}{node.path}  {node.md5[:12]}{rows}  {origin}{'  (above)' if again else ''}")
    if again:
        return
    if node.stage is not None:
        seen.add(node.stage.name)
        lines += [f"{indent}  {line}" for line in _details(node, style, len(indent) + 2)]
    elif not node.inputs:
        lines += [f"{indent}  {line}" for line in _files(node, full=style.full)]
    for child in node.inputs:
        _render(child, depth + 1, lines, seen, style)


def _files(node: Node, *, full: bool) -> list[str]:
    if node.files is None:
        return ["its files are not listed: the folder has changed since"] if node.md5.endswith(".dir") else []
    files = sorted(node.files.items())
    shown = files if full else files[:_SHOWN_FILES]
    more = [f"and {len(files) - len(shown)} more files (--full shows them)"] if len(shown) < len(files) else []
    return [f"{path}  {md5[:12]}" for path, md5 in shown] + more


def _details(node: Node, style: _Style, indent: int) -> list[str]:
    assert node.stage is not None
    params, code = node.stage.params, node.stage.code
    lines = [line for run in node.runs or () for line in titled("run", [run.describe()], indent=indent)]
    if node.runs == []:
        lines += titled("run", ["none in MLflow says that it wrote this version"], indent=indent)
    if node.stage.name == "prepare_data":
        for source, columns in style.unused.items():
            lines += titled(f"unused in {source}", columns, indent=indent)
    changed = style.defaults.changed(params)
    if style.full:
        lines += [f"  param   {key}: {changed.get(key, value)}" for key, value in params.items()]
        return lines + [f"  code    {item.path}  {item.md5[:12]}" for item in code]
    main = {key: value for key, value in main_params(params).items() if key not in changed}
    lines += titled("changed", [f"{key} = {value}" for key, value in changed.items()], indent=indent) if changed else []
    lines += titled("main", [f"{key} = {value}" for key, value in main.items()], indent=indent) if main else []
    return [*lines, f"  reads {len(params)} parameters, {len(code)} code files (--full shows them)"]
