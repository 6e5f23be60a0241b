"""Work in several processes comes back in its order, and ends with who started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.processes import map_in_processes

ROOT = Path(__file__).resolve().parent.parent


def slow_square(number: int) -> tuple[int, int]:
    time.sleep(0.05 * (number % 3))
    if number == 7:
        raise ValueError("seven")
    return number**2, os.getpid()


def test_results_come_in_the_order_of_the_items() -> None:
    alone = list(map_in_processes(slow_square, range(5), processes=1))
    assert [square for square, _ in alone] == [0, 1, 4, 9, 16] and {pid for _, pid in alone} == {os.getpid()}
    shared = list(map_in_processes(slow_square, range(6), processes=2))
    assert [square for square, _ in shared] == [0, 1, 4, 9, 16, 25] and os.getpid() not in {pid for _, pid in shared}
    with pytest.raises(ValueError, match="seven"):
        list(map_in_processes(slow_square, range(6, 9), processes=2))


def wait_forever(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


def test_a_killed_process_leaves_no_worker(tmp_path: Path) -> None:
    code = (
        "from pipeline.processes import map_in_processes\nfrom tests.test_processes import wait_forever\n"
        f"list(map_in_processes(wait_forever, [{str(tmp_path / 'pid')!r}], processes=2))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    worker = _wait_for(tmp_path / "pid")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not Path(f"/proc/{worker}/cmdline").exists() or not Path(f"/proc/{worker}/cmdline").read_bytes():
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its parent")


def _wait_for(path: Path) -> int:
    for _ in range(300):
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.1)
    pytest.fail("no worker started")
