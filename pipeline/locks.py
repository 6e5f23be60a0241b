"""Exclusive locks between processes, given back by the system when their holder ends, even by `kill -9`.

The shared lock of a journal is in tracking/journal.py: filelock's locks by the system are exclusive only.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout, lock_descriptor

_SILENT_SECONDS = 5.0


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is created where there is none; its content stays.

    Waits while another process holds it. A wait of more than a few seconds is said, and Ctrl-C ends it.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
    """
    lock = _lock(path)
    try:
        held = lock.acquire(timeout=_SILENT_SECONDS)
    except Timeout:
        print(f"waiting for {path}, which another process has locked; Ctrl-C gives up", file=sys.stderr, flush=True)
        held = lock.acquire()
    with held:
        yield


@contextmanager
def take_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is created where there is none; its content stays.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be opened, or its file system has no locks.
    """
    lock = _lock(path)
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        raise BlockingIOError(f"another process has locked {path}") from None
    with held:
        yield


def try_lock_open(descriptor: int) -> bool:
    """Lock a file or folder that is open, until its descriptor is closed; False when another process holds it.

    Raises:
        OSError: its file system has no locks.
    """
    return lock_descriptor(descriptor, blocking=False)


def _lock(path: Path) -> FileLock:
    # where the file system has no locks, a marker in their place would outlive a process that is killed
    return FileLock(path, fallback_to_soft=False)
