"""Signals and kills reach the stage, and nothing is left of it."""

import os
import signal
import time
from pathlib import Path
from subprocess import Popen

import pytest

from pipeline.warm.starting import waiting_process
from tests.warm.conftest import Project, alive, environment, wait_for

# tells its id and that of a worker, then what it is told
WAITS = """
import os, pathlib, signal, sys, time
reading, writing = os.pipe()
worker = os.fork()
if worker == 0:
    os.write(writing, b"-")
    time.sleep(60)
    os._exit(0)
os.read(reading, 1)  # a signal that comes while it is forked would be lost to it
print(os.getpid(), worker, os.getppid(), flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.3)  # a second one would come now
    print("interrupted", flush=True)
    sys.exit(130)
"""


def begin(project: Project) -> tuple["Popen[str]", list[int]]:
    process = project.start(WAITS)
    assert process.stdout is not None
    return process, [int(pid) for pid in process.stdout.readline().split()]


def test_ctrl_c_interrupts_the_stage_once_and_what_it_started(project: Project) -> None:
    process, pids = begin(project)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=300)[0] == "interrupted\n" and process.returncode == 130
    wait_for(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_what_ends_the_launching_process_ends_the_stage(project: Project, number: int) -> None:
    process, pids = begin(project)
    process.send_signal(number)
    assert process.wait(timeout=300) == -number
    wait_for(lambda: not any(map(alive, pids)))
    process.communicate()


def test_a_paused_stage_waits_until_it_is_continued(project: Project) -> None:
    code = "import time\nfor number in range(1000): print(number, flush=True); time.sleep(0.05)"
    process = project.start(code)
    assert process.stdout is not None
    process.stdout.readline()
    stdout = process.stdout.fileno()
    os.set_blocking(stdout, False)

    def written() -> bytes:
        try:
            return os.read(stdout, 10_000)
        except BlockingIOError:
            return b""

    wait_for(written)
    process.send_signal(signal.SIGTSTP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    time.sleep(0.3)
    written()
    time.sleep(0.3)
    assert not written()
    process.send_signal(signal.SIGCONT)
    wait_for(written)
    process.kill()
    process.wait()


def test_nothing_outlives_the_run(fake_root: Path) -> None:
    with waiting_process(fake_root, environment(), ()) as waiting:
        process, pids = begin(Project(fake_root, waiting))
    assert not any(map(alive, [waiting.process.pid, pids[0]]))
    wait_for(lambda: not alive(pids[2]))  # it told of the stage's end, and is ending
    assert not waiting.folder.exists()
    assert process.wait(timeout=300) == -signal.SIGKILL
    wait_for(lambda: not alive(pids[1]))
    process.communicate()


def test_a_stage_goes_on_when_the_waiting_process_dies(project: Project) -> None:
    code = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\nraise SystemExit(5)"
    process = project.start("import pathlib\npathlib.Path('begun').touch()\n" + code)
    wait_for((project.root / "begun").exists)
    project.waiting.process.kill()
    project.waiting.process.wait()
    (project.root / "go").touch()
    assert process.wait(timeout=300) == 5
    process.communicate()


def test_no_stage_is_left_alone_when_the_process_beside_it_is_killed(project: Project) -> None:
    process, pids = begin(project)
    os.kill(pids[2], signal.SIGKILL)
    wait_for(lambda: not alive(pids[0]))
    os.kill(pids[1], signal.SIGKILL)  # those of the project end with their stage
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1 and "Run it again" in err


def test_stages_that_have_ended_leave_no_zombie(project: Project) -> None:
    _, out, _ = project.run("import os; print(os.getppid())")
    wait_for(lambda: not Path(f"/proc/{out.strip()}").exists())
