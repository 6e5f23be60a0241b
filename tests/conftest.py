"""Where the fixtures of all tests come from, and which process runs what."""

import gc
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.sets import pytest_deselected, pytest_testnodedown, pytest_unconfigure  # noqa: F401

if TYPE_CHECKING:
    from pipeline.models.policy import Policy

ROOT = Path(__file__).resolve().parent.parent
PolicyMaker = Callable[..., "Policy"]

TINY_PIPELINE = "tests/tiny_pipeline"
_ON_COPIES = "experiments mlflow_screens page_state remotes workflow"
FIRST = (
    TINY_PIPELINE, "tests/training/test_known_optimum.py", f"{TINY_PIPELINE}/copies", "tests/training/test_ppo.py",
)  # fmt: skip
"""What takes longest, so that no process works on it while others have nothing left; copies are of what was run."""


def scope_of(nodeid: str) -> str:
    """What one process runs: a file, or half of the tests that share the tiny pipeline's one run."""
    path = PurePosixPath(nodeid.partition("::")[0])
    if str(path.parent) != TINY_PIPELINE:
        return str(path)
    return f"{TINY_PIPELINE}/copies" if path.stem.removeprefix("test_") in _ON_COPIES.split() else TINY_PIPELINE


class ByFile(LoadScopeScheduling):
    """Hands out the scopes."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes, the longest first; in one the tiny pipeline is run once if its tests stay together."""
    if hasattr(config, "workerinput"):
        place = {scope: number for number, scope in enumerate(FIRST)}
        items.sort(key=lambda item: place.get(scope_of(item.nodeid), len(place)))


def pytest_configure(config: pytest.Config) -> None:
    """Take the fixtures, but not in the process that only hands out tests: their imports take seconds."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    # nothing of what is imported and collected is garbage; looking for some takes a fifth of that time
    gc.disable()
    config.pluginmanager.import_plugin("tests.fixtures")


def pytest_collection_finish() -> None:
    """From here on garbage is collected again, and what was imported and collected is not looked through for any."""
    gc.freeze()
    gc.enable()
