"""Where a fork would not be what a process of its own is, there is none."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.warm.__main__ import main
from pipeline.warm.starting import waiting_process
from tests.conftest import ROOT
from tests.warm.conftest import Project, alive, environment, wait_for

WARM = "from pathlib import Path; print('pipeline.warm.waiting' in Path('/proc/self/cmdline').read_text())"


@pytest.mark.parametrize(
    ("changes", "warm", "named"),
    [
        ({"DVC_STAGE": "x", "DVC_ROOT": "/", "CUDA_VISIBLE_DEVICES": "1", "PWD": "/"}, True, None),
        ({"CELERY_LOG_FILE": "", "CELERY_LOG_LEVEL": "20", "_MP_FORK_LOGLEVEL_": "20"}, True, None),
        # the launch sets these itself
        ({"PYTHONHASHSEED": "7"}, True, None),
        ({"OMP_NUM_THREADS": "7"}, False, "OMP_NUM_THREADS"),
        ({"MALLOC_ARENA_MAX": "1"}, False, "MALLOC_ARENA_MAX"),
        ({"MLFLOW_HTTP_REQUEST_TIMEOUT": "3"}, False, "MLFLOW_HTTP_REQUEST_TIMEOUT"),
    ],
)
def test_another_environment_is_a_cold_start(
    project: Project, changes: dict[str, str], warm: bool, named: str | None
) -> None:
    project.environment |= changes
    assert project.run(WARM) == (0, f"{warm}\n", "")
    reason = project.waiting.failure()
    assert reason is None if named is None else named in str(reason)


def test_other_limits_or_cores_are_a_cold_start(project: Project) -> None:
    command = f"ulimit -n 100; {project.waiting.folder}/python -m pipeline.launch tiny"
    project.run(WARM)
    how = {"cwd": project.root, "env": project.environment, "capture_output": True, "text": True}
    assert subprocess.run(["bash", "-c", command], check=True, **how).stdout == "False\n"
    assert "limits" in str(project.waiting.failure())


def test_an_edit_of_the_environment_is_a_cold_start(project: Project) -> None:
    file = project.root / "pipeline/environment.py"
    before = file.read_text()
    # another size: Python tells a file that was changed within the same second by nothing else
    file.write_text(before.replace('"GOMP_SPINCOUNT": "3000"', '"GOMP_SPINCOUNT": "20000"'))
    try:
        code = WARM + "; import os; print(os.environ['GOMP_SPINCOUNT'])"
        assert project.run(code)[1] == "False\n20000\n"
    finally:
        file.write_text(before)


def test_a_dead_waiting_process_is_a_cold_start(project: Project) -> None:
    project.waiting.process.kill()
    project.waiting.process.wait()
    assert project.run(WARM) == (0, "False\n", "")
    assert project.waiting.failure() == "exit code -9"


def test_a_library_that_cannot_be_imported_is_a_cold_start_and_said(fake_root: Path) -> None:
    with waiting_process(fake_root, environment(), ("no_such_library",)) as waiting:
        assert Project(fake_root, waiting).run(WARM) == (0, "False\n", "")
        waiting.process.wait()
        assert waiting.failure() == "ModuleNotFoundError: No module named 'no_such_library'"


def test_a_library_that_leaves_a_thread_is_a_cold_start(fake_root: Path) -> None:
    code = "import threading, time\nthreading.Thread(target=time.sleep, args=[60], daemon=True).start()"
    (fake_root / "threaded.py").write_text(code)
    with waiting_process(fake_root, environment(), ("threaded",)) as waiting:
        assert Project(fake_root, waiting).run(WARM) == (0, "False\n", "")
        waiting.process.wait()
        assert waiting.failure() == "RuntimeError: 2 threads, where one can be forked"


def test_what_a_library_sets_in_the_environment_stays(fake_root: Path) -> None:
    (fake_root / "setting.py").write_text("import os; os.environ['SET_BY_A_LIBRARY'] = 'yes'")
    with waiting_process(fake_root, environment(), ("setting",)) as waiting:
        code = WARM + "; import os; print(os.environ['SET_BY_A_LIBRARY'])"
        assert Project(fake_root, waiting).run(code)[1] == "True\nyes\n"


def test_a_gpu_in_use_is_refused(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "nvidia0", os.O_CREAT)
    code = "import sys; from pipeline.warm import waiting; waiting._GPUS = (sys.argv[1],); waiting.check_forkable()"
    try:
        command = [sys.executable, "-c", code, str(tmp_path)]
        assert subprocess.run(command, check=False, capture_output=True).returncode == 0
        done = subprocess.run(command, check=False, capture_output=True, text=True, pass_fds=[descriptor])
        assert "nvidia0 is open" in done.stderr
    finally:
        os.close(descriptor)


def test_a_terminals_signals_do_not_reach_it(project: Project) -> None:
    """They reach the launching process, which passes them on."""
    pid = project.waiting.process.pid
    assert os.getsid(pid) == pid != os.getsid(0)
    assert project.run("import os; print(os.getpgid(0) == os.getpid())")[1] == "True\n"


def test_a_folder_that_was_removed_is_said(fake_root: Path) -> None:
    with waiting_process(fake_root, environment(), ()) as waiting:
        shutil.rmtree(waiting.folder)
        assert waiting.failure() == f"its folder {waiting.folder} was removed"


def test_where_it_cannot_work_nothing_is_started(fake_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        with pytest.raises(OSError, match="programs in /tmp cannot be run"), waiting_process(fake_root, {}, ()):
            pass
    monkeypatch.delattr(os, "pidfd_open")
    with pytest.raises(OSError, match=r"no os\.pidfd_open"), waiting_process(fake_root, {}, ()):
        pass


def test_a_command_that_is_none_is_said(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.warm", "no-such-command"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: there is no command no-such-command\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_run_ends_with_make_however_make_ends(tmp_path: Path, number: int) -> None:
    (tmp_path / "Makefile").write_text(
        f"run:\n\texec env PYTHONPATH={ROOT} {sys.executable} -m pipeline.warm sh -c 'echo $$$$ > pid; exec sleep 60'\n"
    )
    with subprocess.Popen(["make", "-s", "run"], cwd=tmp_path, stderr=subprocess.DEVNULL) as make:
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
        make.send_signal(number)
        make.wait(timeout=300)
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())))


def test_a_system_that_is_not_linux_runs_the_command_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no prctl either, which would end the run with make."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(ctypes, "CDLL")
    monkeypatch.setattr(sys, "argv", ["warm", sys.executable, "-c", "raise SystemExit(7)"])
    monkeypatch.setenv("MAKELEVEL", "1")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ended.value.code == 7
