"""A stand-in for `vllm serve` on the tiny policy, and engines that ask it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines.opening import open_engine
from pipeline.engines.vllm import VllmEngine
from tests.engines.stand_in import StandIn, serving

Serve = Callable[..., tuple[StandIn, VllmEngine]]


@pytest.fixture
def serve(policy_folder: Path, tmp_path: Path) -> Iterator[Serve]:
    """`serve(max_lora_rank=8)`: the server as it was started, and an engine; `retries` of the latter."""
    with ExitStack() as stack:

        def start(model: Path = policy_folder, *, retries: int = 2, **started: Any) -> tuple[StandIn, VllmEngine]:
            server = stack.enter_context(serving(StandIn(model, **started)))
            settings = server.settings(tmp_path / "adapters", max_retries=retries)
            return server, stack.enter_context(open_engine(settings, tmp_path))

        yield start
