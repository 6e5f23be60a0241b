"""Work in several processes, in the order of what is worked on; they end with the process that started them."""

import gc
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

_AHEAD = 3
"""Items for each process that are worked on before the first of their results is taken: results may be large."""
Item = TypeVar("Item")
Result = TypeVar("Result")
_task: Callable[[Any], Any]


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_processes(task: Callable[[Item], Result], items: Iterable[Item], *, processes: int) -> Generator[Result]:
    """`task` of each item, in their order.

    Args:
        task: is pickled once for each process; one process works on it here, without any further one.
        items: small; what they name is best read by the task.
        processes: how many.
    """
    if processes <= 1:
        yield from map(task, items)
        return
    # threads of this process, as those of progress bars, must not be forked
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(task,))
    try:
        waiting: deque[Future[Any]] = deque()
        for item in items:
            waiting.append(executor.submit(_run, item))
            if len(waiting) > _AHEAD * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def _begin(task: Callable[[Any], Any]) -> None:
    global _task
    _task = task
    # what was imported stays; collections need not look through it
    gc.freeze()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _run(item: Any) -> Any:
    return _task(item)


def _end_with_parent() -> None:
    """A killed parent leaves its workers waiting for work."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
