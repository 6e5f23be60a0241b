"""A stage that starts warm is told, tells and ends as one that starts cold."""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warm.conftest import Project, wait_for

# how a stage was started, and what it sees of its surroundings
SURROUNDINGS = """
import os, sys
from pathlib import Path
warm = "pipeline.warm.waiting" in Path("/proc/self/cmdline").read_text()
print(warm, Path.cwd(), sys.argv[1:], __name__, Path(__file__).name)
print(os.environ.get("DVC_STAGE"), os.environ["PYTHONHASHSEED"], hash("a"), oct(os.umask(0)), os.isatty(1))
print(sys.stdin.read(), end="")
print("to stderr", file=sys.stderr)
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])
sys.exit(len(sys.argv))
"""


def test_it_has_the_streams_folder_arguments_and_environment_of_its_caller(project: Project) -> None:
    surroundings = {"umask": 0o027, "said": "a line\n"}
    project.environment["DVC_STAGE"] = "tiny@1"
    warm = project.run(SURROUNDINGS, "one", "two", **surroundings)
    project.environment["PATH"] = os.environ["PATH"]
    cold = project.run(SURROUNDINGS, "one", "two", **surroundings)
    assert warm[1].startswith("True") and cold[1].startswith("False")
    assert warm[0] == cold[0] == 3 and warm[1].removeprefix("True") == cold[1].removeprefix("False")
    assert warm[2] == cold[2] == "to stderr\n"
    assert "a line\n[0, 1, 2]" in warm[1] and " 0o27 " in warm[1]


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        ("import sys; sys.exit('a reason')", 1, "a reason"),
        ("raise ValueError('why')", 1, "ValueError: why"),
        ("import nothing_of_this_name", 1, "No module named 'nothing_of_this_name'"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV, ""),
        ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt"),
        ("import atexit, sys; atexit.register(lambda: print('late', file=sys.stderr))", 0, "late"),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), exec('raise OSError'))).start()",
         0, "OSError"),
    ],
)  # fmt: skip
def test_it_ends_as_it_would_alone(project: Project, end: str, status: int, said: str) -> None:
    returned, _, err = project.run(end)
    assert returned == status and said in err
    assert project.waiting.failure() is None


def test_a_terminal_is_one_and_is_written_line_by_line(project: Project) -> None:
    ours, theirs = pty.openpty()
    code = "import os, sys, time; print(sys.stdout.isatty(), os.get_terminal_size().columns); time.sleep(60)"
    process = project.start(code, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert select.select([ours], [], [], 30)[0], "not before it ends"
    assert os.read(ours, 100).startswith(b"True")
    process.kill()
    process.wait()
    os.close(ours)


def test_its_mirror_is_a_child_in_a_session_of_its_own(project: Project) -> None:
    code = """
import os, pathlib, time
while not pathlib.Path("mirror").exists(): time.sleep(0.01)
print(os.getpid(), os.environ["PIPELINE_MIRROR"])
"""
    _, out, _ = project.run(code)
    stage, pid, journal = out.split()
    mirror = (project.root / "mirror").read_text()
    assert mirror == f"{pid} {stage} {pid} {[journal, '--follow', stage]} /dev/null"


def test_an_edit_counts_from_the_next_stage_on(project: Project) -> None:
    code = "from pipeline.added import VALUE; print(VALUE)"
    for value in ("1", "22", "333"):
        (project.root / "pipeline/added.py").write_text(f"VALUE = {value}")
        assert project.run(code)[1] == f"{value}\n"


def test_modules_are_those_of_the_folder_in_which_it_runs(project: Project, tmp_path: Path) -> None:
    """As of an experiment, which runs in a copy."""
    copy = Project(tmp_path / "copy", project.waiting)
    shutil.copytree(project.root, copy.root)
    code = "import pipeline.environment, sys; print(*pipeline.__path__, pipeline.environment.__file__, sys.path[0])"
    _, out, _ = copy.run(code)
    assert out.split() == [str(copy.root / name) for name in ("pipeline", "pipeline/environment.py", ".")]
    assert project.waiting.failure() is None


def test_what_is_no_start_of_a_stage_is_the_environments_own_python(project: Project) -> None:
    for arguments in (["-c", "import sys; print(sys.executable)"], ["-m", "pipeline.launch"]):
        command = [str(project.waiting.folder / "python"), *arguments]
        done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
        assert done.stdout == f"{sys.executable}\n" or "Start a stage" in done.stderr


def test_several_at_once(project: Project) -> None:
    code = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).touch()
while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)
"""
    processes = [project.start(code, *names) for names in (("a", "b"), ("b", "a"))]
    wait_for(lambda: all(process.poll() is not None for process in processes))
    assert [process.communicate()[1] for process in processes] == ["", ""]
    assert [process.returncode for process in processes] == [0, 0]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_is_closed_gets_no_other(project: Project, closed: str) -> None:
    """A socket with the number of a stream would be handed over as the stage's, which writes into it."""
    (project.root / "stages/tiny.py").write_text("import sys; print('out'); print('err', file=sys.stderr); sys.exit(5)")
    command = ["bash", "-c", f"python -m pipeline.launch tiny {closed}"]
    done = subprocess.run(command, cwd=project.root, env=project.environment, check=False, timeout=300)
    assert done.returncode == 5
    assert project.waiting.failure() is None
