"""Saving the state of a training beside it, as often as it may cost.

A state is copied to the CPU between two steps and written by a thread while training goes on. How long copying and
writing took decides when the next one is due, so that saving takes a given share of the time whatever the size.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from pipeline import group
from pipeline.models.machine import total_memory
from pipeline.resume import Resume, State

_BYTES_PER_SECOND = 100 * 2**20
"""Of copying and writing, until it has been measured: a slow disk."""
_SMALL = 256 * 2**20
"""Bytes of a state in the CPU's memory that are copied; a larger one would take memory that nobody reckons with."""


class StateSaver:
    """Saves what `state` gives after steps; a context, at whose end the last state has been written.

    A state is due after every `resume.every_steps` steps, as long as copying and writing take no more than
    `resume.max_share` of the time since the saver began, this state included: it is expected to take what the last
    one took. Writing counts in full, although training goes on beside it. A kill leaves the state before.
    """

    def __init__(self, resume: Resume | None, *, clock: Callable[[], float] = time.perf_counter) -> None:
        """Args:
        resume: where states are kept; None keeps none.
        clock: seconds.
        """
        # processes that train together have one state, which the first saves
        self._resume, self._clock = resume if group.is_first() else None, clock
        self._start = clock()
        self._spent = 0.0
        self._last: float | None = None
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def offer(self, step: int, state: Callable[[], State]) -> None:
        """After a step (1-based): save the state if it is due.

        Args:
            state: called for the state if one is due; its tensors may be those that training goes on with.

        Raises:
            OSError: this state, or the one before, could not be written.
        """
        if self._resume is None or step % self._resume.every_steps:
            return
        limited = self._resume.max_share < 1
        if limited and self._thread is not None and self._thread.is_alive():
            return
        self.wait()
        began = self._clock()
        allowed = self._resume.max_share * (began - self._start) - self._spent
        if limited and self._last is not None and self._last > allowed:
            return
        found = state()
        size = sum(tensor.nbytes for tensor in _tensors(found))
        if limited and self._last is None and size / _BYTES_PER_SECOND > allowed:
            return
        if not _copy_fits(found):
            self._write(self._resume, found, began)
            return
        arguments = (self._resume, _on_the_cpu(found, {}), began)
        self._thread = Thread(target=self._write_beside, args=arguments, name="state", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until nothing is being written.

        Raises:
            OSError: what was written last could not be.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except Exception as lost:
            if error is None:
                raise
            error.add_note(f"besides, the state of the training could not be saved: {lost}")

    def _write(self, resume: Resume, state: State, began: float) -> None:
        resume.save_now(state)
        self._last = self._clock() - began
        self._spent += self._last

    def _write_beside(self, resume: Resume, state: State, began: float) -> None:
        try:
            self._write(resume, state, began)
        except BaseException as error:  # for the thread that trains
            self._error = error


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _copy_fits(state: State) -> bool:
    """Whether the CPU's memory has room for a copy beside the state itself."""
    here = sum(tensor.nbytes for tensor in _tensors(state) if tensor.device.type == "cpu")
    elsewhere = sum(tensor.nbytes for tensor in _tensors(state) if tensor.device.type != "cpu")
    return here <= _SMALL and elsewhere <= _free_memory() / 2


def _free_memory() -> float:
    """Bytes that are free, of the machine or of what the container leaves this process."""
    pages = os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else math.inf
    own = _resident_memory()
    return min(pages * os.sysconf("SC_PAGE_SIZE"), total_memory(torch.device("cpu")) - own)


def _resident_memory() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _on_the_cpu(value: Any, copies: dict[int, Tensor]) -> Any:
    """A copy that shares no memory with what it was made of; a tensor that stands in it twice is copied once."""
    if isinstance(value, Tensor):
        if id(value) not in copies:
            copies[id(value)] = value.detach().to("cpu", copy=True)
        return copies[id(value)]
    if isinstance(value, dict):
        return {key: _on_the_cpu(part, copies) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_the_cpu(part, copies) for part in value)
    return value
