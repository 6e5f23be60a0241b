"""At most one process runs a stage, even where one of them outlived a `dvc repro` that was killed."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.locks import take_lock

FOLDER = Path(".state/locks")


@contextmanager
def stage_lock(root: Path, name: str) -> Iterator[None]:
    """Hold the lock of a stage, which the system frees when this process ends, however it ends.

    Raises:
        PipelineError: another process holds it; the message names it.
    """
    path = root / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        # nothing that the stage starts inherits it, so it ends with the stage
        try:
            held.enter_context(take_lock(path))
        except BlockingIOError:
            raise PipelineError(
                f"stage {name} already runs in this folder, as process {path.read_text().strip() or 'unknown'}: "
                "perhaps its `dvc repro` was killed and it was not. Wait for it, or stop it with `kill`, and run again."
            ) from None
        path.write_text(f"{os.getpid()}\n")
        yield
