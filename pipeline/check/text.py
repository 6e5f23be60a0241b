"""Findings as text, each with the line of params.yaml to change."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.check.findings import Findings, Table
from pipeline.errors import Problem
from pipeline.excerpts import shorten

_WIDTH = 118
_WIDEST_CELL = 60


def render(findings: Findings, params_file: Path) -> str:
    """The text of all findings: tables, errors, warnings, and the result in one line."""
    lines: list[str] = []
    for table in findings.tables:
        lines += _table(table)
    for name, problems in (("Errors", findings.errors), ("Warnings", findings.warnings)):
        if problems:
            lines += [name, *_problems(problems, params_file), ""]
    return "\n".join([*lines, verdict(findings)])


def verdict(findings: Findings) -> str:
    """The result in one sentence."""
    errors, warnings = len(findings.errors), len(findings.warnings)
    counts = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    return f"Check: {counts}. {'Nothing was run.' if errors else 'The run can start.'}"


def _problems(problems: Sequence[Problem], params_file: Path) -> list[str]:
    lines = []
    for number, problem in enumerate(problems, start=1):
        first, rest = f"  {number}. ", " " * 5
        lines += textwrap.wrap(problem.message, _WIDTH, initial_indent=first, subsequent_indent=rest)
        if problem.key:
            lines.append(f"{rest}-> {_change(problem, params_file)}")
    return lines


def _change(problem: Problem, params_file: Path) -> str:
    line, now = find_line(params_file, str(problem.key))
    where = f"{params_file.name}:{line}" if line else params_file.name
    if problem.value is None:
        return f"{where}: {problem.key} (now {now})" if line else f"{where}: {problem.key}"
    return f"{where}: {problem.key}: {problem.value} (now {now})"


def find_line(params_file: Path, key: str) -> tuple[int | None, str]:
    """Number of the line that sets a dotted key, or the nearest section around it, and its value in short."""
    node: Any = YAML().load(params_file.read_text(encoding="utf-8-sig"))
    line = None
    for name in key.split("."):
        if not isinstance(node, Mapping) or name not in node:
            break
        line, node = node.lc.key(name)[0] + 1, node[name]  # type: ignore[attr-defined]
    shown = "null" if node is None else "a section" if isinstance(node, Mapping) else str(node)
    return line, shorten(shown, _WIDEST_CELL)


def _table(table: Table) -> list[str]:
    rows = [[_short(cell) for cell in row] for row in (table.header, *table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [table.title, *(f"  {line}" for line in lines), ""]


def _short(cell: str) -> str:
    return shorten(" ".join(cell.split()), _WIDEST_CELL)
