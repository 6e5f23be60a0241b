"""An engine from its settings, and its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.engines.server import VllmServer
from pipeline.engines.vllm import VllmEngine
from pipeline.params.endpoint import EngineServer


@contextmanager
def open_engine(settings: EngineServer, root: Path) -> Iterator[VllmEngine]:
    """An engine, whose last adapter the server forgets after the block.

    Args:
        root: of the project, which `engine.adapters` may be relative to.
    """
    engine = VllmEngine(VllmServer(settings), (root / settings.adapters).absolute())
    try:
        yield engine
    finally:
        engine.close()
