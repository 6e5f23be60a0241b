"""One process a stage: a second one, or one whose parent died, must not write beside it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import PipelineError

FOLDER = Path(".state/locks")


@contextmanager
def stage_lock(root: Path, name: str) -> Iterator[None]:
    """Hold the lock of a stage. The system gives it back when the process ends, however it ends.

    Raises:
        PipelineError: another process holds it; the message names it.
    """
    path = root / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    # nothing that the stage starts inherits it, so it ends with the stage
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise PipelineError(
                f"stage {name} already runs in this folder, as process {handle.read().strip() or 'unknown'}: perhaps "
                "its `dvc repro` was killed and it was not. Wait for it, or stop it with `kill`, and run again."
            ) from None
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield
