"""A state is saved when it is due: not too often, of one moment, whole, and never lost in silence."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.resume import Resume, State
from pipeline.training import saving
from pipeline.training.saving import StateSaver


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowDisk(Resume):
    """Writing takes seconds of a clock; a gate, where one is closed, holds it up."""

    def __init__(self, root: Path, clock: Clock, *, seconds: float = 0.0, every: int = 1, share: float = 1.0) -> None:
        super().__init__(root, "stage", "key", every_steps=every, max_share=share)
        self.gate, self.written = threading.Event(), list[int]()
        self.gate.set()
        self._clock, self._seconds = clock, seconds

    def save_now(self, state: State, part: str = "training") -> None:
        assert self.gate.wait(10)
        self._clock.now += self._seconds
        super().save_now(state, part)
        self.written.append(state["step"])


def offer(saver: StateSaver, step: int, weights: torch.Tensor | None = None) -> None:
    saver.offer(step, lambda: {"step": step, "weights": torch.zeros(3) if weights is None else weights})


def test_nothing_is_kept_without_a_place(tmp_path: Path) -> None:
    def asked() -> State:
        raise AssertionError("nobody wants a state")

    with StateSaver(None) as saver:
        saver.offer(1, asked)


def test_a_state_is_due_every_so_many_steps(tmp_path: Path) -> None:
    disk = SlowDisk(tmp_path, Clock(), every=3)
    with StateSaver(disk) as saver:
        for step in range(1, 11):
            offer(saver, step)
    assert disk.written == [3, 6, 9]


@pytest.mark.parametrize("share", [0.05, 0.2])
@pytest.mark.parametrize("step_seconds", [0.1, 2.0, 40.0])
@pytest.mark.parametrize("large", [False, True], ids=["beside", "at once"])
def test_saving_takes_its_share_of_the_time_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, step_seconds: float, large: bool
) -> None:
    monkeypatch.setattr(saving, "_SMALL", 0 if large else 2**20)
    monkeypatch.setattr(saving, "_BYTES_PER_SECOND", 12 / 3)  # as it then is
    clock = Clock()
    disk = SlowDisk(tmp_path, clock, seconds=3.0, share=share)
    with StateSaver(disk, clock=clock) as saver:
        while clock.now < 3000:
            clock.now += step_seconds
            offer(saver, 1)
            saver.wait()
            assert 3.0 * len(disk.written) <= share * clock.now + 3.0 * share
    # nor is any put off for longer than to the next step
    assert len(disk.written) >= clock.now / (3.0 / share + step_seconds) - 1


def test_the_first_state_waits_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "_BYTES_PER_SECOND", 1.0)
    clock = Clock()
    disk = SlowDisk(tmp_path, clock, share=0.5)
    with StateSaver(disk, clock=clock) as saver:
        for step in range(1, 31):  # 12 bytes, of which a second writes one, may take half of 24 seconds
            clock.now += 1
            if not disk.written:
                offer(saver, step)
                saver.wait()
    assert disk.written == [24]


def test_what_is_written_is_the_state_of_its_step(tmp_path: Path) -> None:
    """Training goes on, and changes its weights, while the disk is slow."""
    disk = SlowDisk(tmp_path, Clock())
    weights, more = torch.zeros(1000), {"losses": [1.0], "pair": (torch.ones(2), None)}
    with StateSaver(disk) as saver:
        disk.gate.clear()
        saver.offer(1, lambda: {"step": 1, "weights": weights, "again": weights, **more})
        assert disk.written == []
        weights += 1
        more["losses"].append(2.0)  # type: ignore[attr-defined]
        disk.gate.set()
    state = disk.restore()
    assert state is not None and state["weights"].sum() == 0 and state["losses"] == [1.0]
    assert state["again"].data_ptr() == state["weights"].data_ptr()  # shared as it was


@pytest.mark.parametrize("slow", [True, False], ids=["still writing", "written"])
def test_a_state_is_written_before_the_process_ends(tmp_path: Path, slow: bool) -> None:
    disk = SlowDisk(tmp_path, Clock())
    with StateSaver(disk) as saver:
        if slow:
            disk.gate.clear()
            threading.Timer(0.1, disk.gate.set).start()
        offer(saver, 1)
    assert disk.written == [1] and disk.restore() is not None


def test_a_state_is_left_out_while_the_one_before_is_being_written(tmp_path: Path) -> None:
    clock = Clock()
    disk = SlowDisk(tmp_path, clock, share=0.9)
    with StateSaver(disk, clock=clock) as saver:
        disk.gate.clear()
        for step in range(1, 6):
            clock.now += 10
            offer(saver, step)  # never waits
        disk.gate.set()
        saver.wait()
        clock.now += 1000
        offer(saver, 6)
    assert disk.written == [1, 6]


class FullDisk(Resume):
    def save_now(self, state: State, part: str = "training") -> None:
        raise OSError(28, "No space left on device")


def in_context(saver: StateSaver) -> None:
    with saver:
        offer(saver, 1)


def at_next(saver: StateSaver) -> None:
    offer(saver, 1)
    offer(saver, 2)


@pytest.mark.parametrize("use", [in_context, at_next])
@pytest.mark.parametrize("large", [False, True], ids=["beside", "at once"])
def test_an_error_of_writing_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[StateSaver], None], large: bool
) -> None:
    if large:
        monkeypatch.setattr(saving, "_SMALL", 0)
    with pytest.raises(OSError, match="No space left"):
        use(StateSaver(FullDisk(tmp_path, "stage", "key", every_steps=1)))


def test_an_error_of_training_goes_first(tmp_path: Path) -> None:
    def fails(saver: StateSaver) -> None:
        with saver:
            offer(saver, 1)
            raise ValueError("of training")

    with pytest.raises(ValueError, match="of training") as caught:
        fails(StateSaver(FullDisk(tmp_path, "stage", "key", every_steps=1)))
    assert "No space left" in caught.value.__notes__[0]


def test_a_large_state_in_the_cpus_memory_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[Any] = []
    monkeypatch.setattr(saving, "_on_the_cpu", lambda value, _: copied.append(value) or value)
    for large in (False, True):
        monkeypatch.setattr(saving, "_SMALL", 11 if large else 12)
        disk = SlowDisk(tmp_path / str(large), Clock())
        with StateSaver(disk) as saver:
            offer(saver, 1)
        assert disk.written == [1] and len(copied) == 1
