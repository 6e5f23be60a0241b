"""Locks between processes: who has to wait, who is refused, and what ends a lock."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import locks
from pipeline.locks import take_lock, try_lock_open, wait_for_lock

HOLD = """
import sys, time
from pathlib import Path
from pipeline.locks import take_lock
with take_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""
FORK = """
import os, sys, time
from pathlib import Path
from pipeline.locks import take_lock
with take_lock(Path(sys.argv[1])):
    if os.fork() == 0:  # what a fork gives up, it has given up before os.fork returns in it
        print(os.getpid(), flush=True)
    time.sleep(60)
"""
WAIT = """
import signal, sys
from pathlib import Path
from pipeline import locks
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background of a shell
locks._SILENT_SECONDS = 0.1
with locks.wait_for_lock(Path(sys.argv[1])):
    print("held", flush=True)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def holder(path: Path, seconds: float = 60) -> subprocess.Popen[str]:
    process = start(HOLD, path, seconds)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_lock_that_is_held_is_refused_and_free_once_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = holder(path)
    with pytest.raises(BlockingIOError, match="another process has locked"), take_lock(path):
        pass
    with path.open("a") as stream:
        assert not try_lock_open(stream.fileno())
    other.kill()
    other.wait()
    with take_lock(path):
        pass
    with path.open("a") as stream:
        assert try_lock_open(stream.fileno())


def test_a_wait_ends_with_the_lock_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "_SILENT_SECONDS", 0.1)
    path = tmp_path / "folder" / "lock"
    with wait_for_lock(path):  # creates its folder
        pass
    assert capsys.readouterr().err == ""
    other = holder(path, 1.0)
    with wait_for_lock(path):
        assert other.wait(5) == 0
    assert f"waiting for {path}" in capsys.readouterr().err


def test_ctrl_c_ends_a_wait(tmp_path: Path) -> None:
    other = holder(tmp_path / "lock")
    waiting = start(WAIT, tmp_path / "lock")
    assert waiting.stderr is not None and waiting.stderr.readline().startswith("waiting for")
    began = time.monotonic()
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait() != 0 and time.monotonic() - began < 10
    other.kill()
    other.wait()


def test_content_of_a_locked_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("one\n")
    with wait_for_lock(path), path.open("a") as stream:
        stream.write("two\n")
    assert path.read_text() == "one\ntwo\n"


def test_a_lock_ends_with_its_process_although_what_that_has_forked_goes_on(tmp_path: Path) -> None:
    process = start(FORK, tmp_path / "lock")
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    try:
        with take_lock(tmp_path / "lock"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
