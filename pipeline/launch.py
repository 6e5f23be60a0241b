"""Start a stage with the process environment it needs: `python -m pipeline.launch STAGE [ARGUMENT ...]`.

The allocator, hash seed and telemetry switches are read when a process starts, so they cannot be set from
inside; this replaces itself with the stage and costs a few hundredths of a second. Before that it starts the process
that mirrors the run to MLflow, which needs as long as the stage to import its libraries. Where a process waits that has
imported them (`pipeline/warm`), `pipeline/warm/stage.py` does the same without a new process. Where `launch` in
params.yaml asks for several processes or a command, it becomes that (`pipeline/torchrun.py`).
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

from pipeline.environment import stage_environment
from pipeline.project.home import project_home
from pipeline.project.lock_copy import keep_lock
from pipeline.torchrun import become_several
from pipeline.tracking.journal import new_journal_path
from pipeline.tracking.mirror_process import start_mirror


def main() -> None:
    """Replace this process with `python -m stages.STAGE`, or what `launch` says."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    environment = stage_environment(os.environ)
    stage, *arguments = sys.argv[1:]
    with suppress(OSError):  # a full disk is the stage's own error
        keep_lock(Path.cwd())
    become_several(stage, arguments, Path.cwd(), environment)
    with suppress(OSError):  # the stage tries again, and says what is wrong
        environment |= start_mirror(
            new_journal_path(project_home(Path.cwd()), stage), Path.cwd(), environment
        ).variable()
    os.execve(sys.executable, [sys.executable, "-m", f"stages.{stage}", *arguments], environment)


if __name__ == "__main__":
    main()
