"""Two sets of tests: `make test` runs all that are not marked slow, `make test-all` the slow ones, too.

A slow test takes seconds and names a test of the fast set on the same subject: `@pytest.mark.slow(beside="test_fast")`
in one file, or `beside="tests/stage/test_costs.py::test_fast"`. `tests/project/test_sets.py` holds every mark to that.
"""

from collections.abc import Sequence
from typing import Any

import pytest

FAST = "not slow"
"""What `make test` gives pytest as `-m`."""
_LEFT = pytest.StashKey[int]()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count what the fast set leaves out; a worker tells the process that started it."""
    config = items[0].config
    if config.getoption("markexpr") == FAST:
        left = sum(item.get_closest_marker("slow") is not None for item in items)
        config.stash[_LEFT] = config.stash.get(_LEFT, 0) + left
        if hasattr(config, "workeroutput"):
            config.workeroutput["left"] = config.stash[_LEFT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Each worker has collected all tests: what one has counted is what is left."""
    if left := getattr(node, "workeroutput", {}).get("left"):
        node.config.stash[_LEFT] = left


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    left = config.stash.get(_LEFT, 0)
    if left and not hasattr(config, "workerinput"):
        print(f"{left} slow tests were left to `make test-all`.")
