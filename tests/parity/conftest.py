"""TRL's trainers set up accelerate again: put back what the other tests of this process share."""

from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState, PartialState


@pytest.fixture(autouse=True)
def accelerate_state() -> Iterator[None]:
    states = [(kind, dict(kind._shared_state)) for kind in (AcceleratorState, PartialState)]
    yield
    for kind, state in states:
        kind._shared_state.clear()
        kind._shared_state.update(state)
