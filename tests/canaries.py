"""A fixture that holds pandera against known-bad pairs once, which `validate_pairs` does for each set of pairs."""

from collections.abc import Callable
from dataclasses import astuple
from functools import cache

import pytest
from pandera.config import get_config_context

from pipeline.validation import contract


@pytest.fixture(scope="session")
def known_bad_pairs() -> Callable[..., None]:
    """Once for each setting of pandera: switched off, it is noticed as ever."""
    hold = contract._require_working_checks
    return cache(lambda *_: hold())


@pytest.fixture(autouse=True)
def canaries(known_bad_pairs: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time for a few pairs would go there."""
    monkeypatch.setattr(
        contract, "_require_working_checks", lambda: known_bad_pairs(*map(str, astuple(get_config_context())))
    )
