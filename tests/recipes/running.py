"""The stages of dvc.yaml, one behind the other in this process: libraries are imported once."""

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from pipeline.stage import execution as stage_execution
from pipeline.stage import run
from pipeline.tracking.tracker import RunTracker


class NoTracker(RunTracker):
    """Nothing is logged: what is logged has tests of its own."""

    def start(self, *_: Any, **__: Any) -> None:
        """Open no journal."""


def run_stages(root: Path, monkeypatch: pytest.MonkeyPatch, *, wanted: Sequence[str] | None = None) -> list[str]:
    """Run the graph in the current folder, which is `root`.

    Args:
        root: of the project.
        monkeypatch: of the test.
        wanted: the stages that run, with those that they need; None for all.

    Returns:
        The stages, in the order in which they ran.
    """
    assert Path.cwd() == root
    monkeypatch.setattr(stage_execution, "RunTracker", NoTracker)
    names = ordered_stages(root, wanted)
    for name in names:
        assert execution(name, root)() == 0, f"{name} failed"
    return names


def execution(name: str, root: Path) -> Callable[[], int]:
    """What runs a stage of dvc.yaml, such as `optimize_policy@dpo-0`: its script with the arguments of its command."""
    stage, _, matrix = name.partition("@")
    script, *arguments = Repo(str(root)).stage.load_one(name=name).cmd.split()[3:]
    values = matrix.split("-") if matrix else []
    place = dict(zip(("method", "seed")[2 - len(values) :], values, strict=True))
    # the first axes are what the script itself decides
    fixed = {axis: place.pop(axis) for axis in list(place)[: len(values) - len(arguments)]}
    assert list(place.values()) == arguments
    main = importlib.import_module(f"stages.{script}").main
    return partial(run._execute, main, place, stage=stage, fixed=fixed, show_traceback=True)


def ordered_stages(root: Path, wanted: Sequence[str] | None = None) -> list[str]:
    """Each behind all those whose outputs it reads; all, or what these need."""
    stages = {stage.name: stage for stage in Repo(str(root)).index.stages if getattr(stage, "name", None)}
    outputs = {Path(out.fs_path): name for name, stage in stages.items() for out in stage.outs}
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        for dep in stages[name].deps:
            path = Path(dep.fs_path)
            for out, producer in outputs.items():
                if path.is_relative_to(out) or out.is_relative_to(path):
                    visit(producer)
        ordered.append(name)

    for name in sorted(stages if wanted is None else wanted):
        visit(name)
    return ordered
