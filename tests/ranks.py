"""Several processes of a group for tests: threads that are told they are processes, or real ones."""

import os
import pickle
import socket
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import pytest

from pipeline import group

Result = TypeVar("Result")
_PATIENCE = 300.0
"""Seconds for which a process may wait for the others."""


def as_ranks(monkeypatch: pytest.MonkeyPatch, size: int, work: Callable[[int], Result]) -> list[Result]:
    """What `work` returns in each of `size` threads, each of which is a process of a group to this project's code.

    What they exchange is pickled, as between processes. Threads share whatever `work` does not make anew.

    Args:
        work: gets the rank.

    Raises:
        Exception: that of the first thread which failed by itself; the others end, too.
    """
    here, barrier, given = threading.local(), threading.Barrier(size), [b""] * size

    def exchanged(mine: object) -> list[object]:
        given[here.rank] = pickle.dumps(mine)
        barrier.wait(_PATIENCE)
        hands = [pickle.loads(one) for one in given]
        barrier.wait(_PATIENCE)
        return hands

    def run(rank: int) -> Result:
        here.rank = rank
        try:
            return work(rank)
        except BaseException:
            barrier.abort()
            raise

    with monkeypatch.context() as patch, ThreadPoolExecutor(size) as pool:
        patch.setattr(group, "size", lambda: size)
        patch.setattr(group, "rank", lambda: here.rank)
        patch.setattr(group, "_exchanged", exchanged)
        running = [pool.submit(run, rank) for rank in range(size)]
        failed = [error for one in running if (error := one.exception()) is not None]
        for error in failed:
            if not isinstance(error, threading.BrokenBarrierError):
                raise error
        return [one.result() for one in running]


def fork_ranks(size: int, work: Callable[[int], object]) -> list[int]:
    """How each of `size` forks of this process has ended, by rank: 0, 1 after an exception, -9 where it was killed.

    They are a group as torchrun makes one. What has imported torch, but not computed with it, can be forked.

    Args:
        work: gets the rank.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [_fork(rank, size, port, work) for rank in range(size)]
    return _ends(children)


def _fork(rank: int, size: int, port: int, work: Callable[[int], object]) -> int:
    if child := os.fork():
        return child
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ.update({name: str(number) for name, number in numbers.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", TORCHELASTIC_RUN_ID="test", OMP_NUM_THREADS="1")
    try:
        work(rank)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _ends(children: Sequence[int]) -> list[int]:
    """Those that do not end are killed."""
    ends: dict[int, int] = {}
    limit = time.monotonic() + _PATIENCE
    while len(ends) < len(children):
        for child in set(children) - ends.keys():
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                ends[child] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > limit:
                with suppress(ProcessLookupError):
                    os.kill(child, 9)
        time.sleep(0.02)
    return [ends[child] for child in children]
