"""What a check found: its messages by key, the keys of its errors, one of its tables."""

import types
from typing import Any

from pipeline.check.findings import Findings

Project = types.SimpleNamespace


def said(findings: Findings) -> dict[str | None, str]:
    return {problem.key: problem.message for problem in [*findings.errors, *findings.warnings]}


def keys(findings: Findings) -> list[str | None]:
    return [problem.key for problem in findings.errors]


def table(findings: Findings, title: str) -> Any:
    return next(one for one in findings.tables if one.title == title)
