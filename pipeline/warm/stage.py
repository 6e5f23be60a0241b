"""What a fork of the waiting process does to be a stage, where `pipeline.launch` replaces its process."""

import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path

from pipeline.project.home import project_home
from pipeline.project.lock_copy import keep_lock
from pipeline.torchrun import become_several
from pipeline.tracking.journal import new_journal_path
from pipeline.tracking.mirror_process import MIRROR, MirrorProcess, mirror_arguments


def run(stage: str, *arguments: str) -> None:
    """`python -m pipeline.launch STAGE ARGUMENT ...` in this process, whose environment is the stage's already.

    Leaves as the script does: by SystemExit, whose code is the exit code, or by the exception that ends it; or not at
    all, where `launch` in params.yaml asks for several processes or a command, which it becomes.
    """
    with suppress(OSError):  # a full disk is the stage's own error
        keep_lock(Path.cwd())
    become_several(stage, arguments, Path.cwd(), os.environ)
    # the streams were others when Python opened them: a terminal is written line by line
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    module, given = f"stages.{stage}", list(arguments)
    with suppress(OSError):  # the stage tries again, and says what is wrong
        journal = new_journal_path(project_home(Path.cwd()), stage)
        following = mirror_arguments(journal)
        pid = os.fork()
        if pid == 0:
            _detach()
            module, given = MIRROR, following
        else:
            os.environ.update(MirrorProcess(pid, journal).variable())
    sys.argv = ["-m", *given]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _detach() -> None:
    """In a session of its own, with nothing to read and nobody to tell, as `start_mirror` starts it."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    os.close(nowhere)
