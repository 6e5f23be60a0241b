"""What a process does that works on a stage with others (`pipeline.torchrun` starts them), beside the work itself.

The first writes and speaks. All end with torchrun, and with each other: a process that fails leaves its reason for
torchrun, which says it and ends the rest; the rest find their connections closed and wait for that.
"""

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

from pipeline import group
from pipeline.torchrun import PARENT

_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
_PR_SET_PDEATHSIG = 1
_END_SECONDS = 5.0


def join_in() -> None:
    """End with torchrun, however that ends; say nothing, unless this is the first process."""
    if group.size() == 1:
        return
    parent = int(os.environ.get(PARENT, os.getppid()))
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if not group.is_first():
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 -- until the process ends


def leave_reason(text: str) -> bool:
    """Leave for torchrun why this process fails, in the form of its own.

    Returns:
        False where there are no others, and where the disk takes nothing: it is to be said here.
    """
    file = os.environ.get(_ERROR_FILE)
    if group.size() == 1 or file is None:
        return False
    extra = {"py_callstack": text, "timestamp": str(int(time.time()))}
    try:
        Path(file).write_text(json.dumps({"message": {"message": text, "extraInfo": extra}}))
    except OSError:
        return False
    return True


def wait_for_end() -> None:
    """Until torchrun ends this process, because another has failed; it must not seem to have failed first.

    It returns where none has.
    """
    time.sleep(_END_SECONDS)
