"""Packages import one way, and only what a table permits."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.project.test_closure import covers

COMMON = ("errors", "params", "progress", "resume", "seeding")
# What the modules of each package may import of `pipeline`, besides their own package and the one place that shortens
# what people are shown.
ALLOWED = {
    "objectives": set[str](),
    "params": {"errors"},
    "reading": {"errors", "packages", "params", "scratch"},
    "preferences": {"errors", "params", "resume", "scratch", "reading", "data", "models", "judges.protocol"},
    "validation": {"errors", "params", "processes", "progress", "data", "preferences", "evaluation.statistics"},
    "data": {"errors", "params", "processes", "progress", "scratch", "seeding", "reading"},
    "check": {
        *(
            "errors",
            "environment",
            "params",
            "data",
            "judges.rules",
            "memory",
            "models.sources",
            "preferences",
            "reading",
            "validation",
        ),
        *("models.reward_texts", "models.text_length", "project.cache_links", "project.home"),
    },
    "labelling": {"errors", "seeding", "reading", "data"},
    "judges": {"errors", "params", "progress", "data", "models"},
    "models": {*COMMON, "packages", "objectives", "data.tokens", "data.packing", "data.passages", "reading.endings"},
    "training": {*COMMON, "objectives", "models", "data.passages", "data.tokens", "preferences"},
    "evaluation": {
        *set(COMMON) - {"progress"},
        "judges",
        "models",
        "objectives",
        "data.passages",
        "data.tokens",
        "preferences.pair",
    },
    "external": {"errors", "environment", "params", "data.passages", "reading", "judges", "models", "evaluation"},
    "report": {
        "errors",
        "params",
        "evaluation.overoptimization",
        "evaluation.categories",
        "evaluation.statistics",
        "project.defaults",
        "stage.costs",
        "project.provenance",
        "training.loss_checks",
        "training.sampler_check",
        "validation.reasons",
    },
    "compare": {"errors", "environment", "params.loading", "tracking", "evaluation.statistics", "report"},
    "release": {"params", "data.tokens", "reading.chats"},
    "sharing": {"errors", "environment", "project", "data", "lineage", "models", "release", "reading.chats"},
    "chat": {
        *("errors", "environment", "params", "seeding", "reading", "data", "labelling", "models", "release"),
        "sharing.variants",
    },
    "lineage": {"errors", "environment", "params", "project", "tracking", "data.records", "reading.sources"},
    "memory": {"errors", "params", "models", "data.passages", "data.tokens", "data.packing", "training.schedule"},
    "stage": {"errors", "params", "resume", "project", "tracking", "models"},
    "tracking": {"errors", "environment", "params", "project", "evaluation.statistics"},
    "project": {"errors", "params.loading", "processes"},
}


def imports(path: Path) -> set[str]:
    """Dotted names that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_layers_import_one_way(package: str) -> None:
    may_be = {*ALLOWED[package], package, "excerpts"}
    wrong = [
        (path.relative_to(ROOT).as_posix(), name)
        for path in sorted((ROOT / "pipeline" / package).glob("*.py"))
        for name in imports(path)
        if name.startswith("pipeline.")
        and not any(covers(allowed, name.removeprefix("pipeline.")) for allowed in may_be)
    ]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_what_may_be_imported_is_imported(package: str) -> None:
    """A permission that nobody uses would let a layer grow unseen."""
    paths = (ROOT / "pipeline" / package).rglob("*.py")
    names = {name.removeprefix("pipeline.") for path in paths for name in imports(path)}
    assert {allowed for allowed in ALLOWED[package] if not any(covers(allowed, name) for name in names)} == set()


def test_packages_have_an_order_in_which_each_imports_earlier_ones_alone() -> None:
    packages = {path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py")}
    needs = {}
    for package in packages:
        names = {name for path in (ROOT / "pipeline" / package).rglob("*.py") for name in imports(path)}
        needs[package] = {name.split(".")[1] for name in names if name.startswith("pipeline.")} & packages - {package}
    while free := {package for package, others in needs.items() if not others & needs.keys()}:
        needs = {package: others for package, others in needs.items() if package not in free}
    assert needs == {}


@pytest.mark.parametrize(("library", "owner"), [("mlflow", "tracking/store.py"), ("dvc", "project/graph.py")])
def test_one_module_imports_each_of_the_two_trackers(library: str, owner: str) -> None:
    users = [
        path.relative_to(ROOT / "pipeline").as_posix()
        for path in sorted((ROOT / "pipeline").rglob("*.py"))
        if any(covers(library, name) for name in imports(path))
    ]
    assert users == [owner]


def test_package_files_hold_a_docstring_only() -> None:
    for path in [*ROOT.glob("pipeline/**/__init__.py"), ROOT / "stages/__init__.py"]:
        body = ast.parse(path.read_text()).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), path
