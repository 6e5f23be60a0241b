"""The page is of the state that is checked out, whatever git and DVC bring, or says that it is not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.report.run_sheet import stage_costs
from pipeline.report.show import main as show
from pipeline.report.state import PAGE, RUNS, page_state, stale_reason
from tests.tiny_pipeline.conftest import dvc, run
from tests.tiny_project import edit_params

GIT = ("git", "-c", "user.name=ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")


@pytest.fixture
def ok() -> Callable[..., str]:
    """Runs a command that must succeed."""

    def checked(root: Path, *command: str) -> str:
        result = run(root, *command)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout + result.stderr

    return checked


@pytest.mark.slow(beside="tests/report/test_state.py::test_repro_never_points_to_a_page_of_another_state")
def test_no_way_of_changing_state_leaves_a_page_of_another(
    project: Path, tmp_path: Path, monkeypatch, capsys, ok
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(project, root, symlinks=True)
    monkeypatch.chdir(root)

    def commit(message: str) -> None:
        ok(root, *GIT, "add", "-A")
        ok(root, *GIT, "commit", "-q", "-m", message)

    def shown() -> str:
        show()
        return capsys.readouterr().out

    page = root / PAGE
    commit("first")
    ok(root, "git", "branch", "first")
    first = page.read_bytes()
    edit_params(root, {"write_report.samples_shown": 1})
    ok(root, "dvc", "repro", "write_report", "publish_models")
    second = page.read_bytes()
    assert first != second and stale_reason(root) is None
    commit("second")

    # a branch by git alone: the page in the folder is of the other one, and nothing points to it
    ok(root, "git", "checkout", "-q", "first")
    assert page.read_bytes() == second and "is of another state than" in shown()
    ok(root, "dvc", "checkout")
    assert page.read_bytes() == first and f"report: {page}" in shown()

    # by the cache of runs: nothing is executed, and the page and its sheet are those of then
    edit_params(root, {"write_report.samples_shown": 1})
    assert "Running stage" not in ok(root, "dvc", "repro", "write_report")
    assert page.read_bytes() == second and f"report: {page}" in shown()
    state = page_state(page)
    assert state is not None and (root / RUNS / f"{state.name}.js").is_file()
    ok(root, "git", "checkout", "-q", "-f", "first")
    ok(root, "dvc", "checkout")

    # by an experiment that ran in a folder of its own; that one is gone
    ok(root, "dvc", "exp", "run", "--temp", "-n", "third", "-S", "write_report.samples_shown=3")
    assert page.read_bytes() == first
    ok(root, "dvc", "exp", "apply", "third")
    third = page_state(page)
    assert third is not None and page.read_bytes() not in (first, second) and f"report: {page}" in shown()
    assert "experiment <b>third</b>" in (root / RUNS / f"{third.name}.js").read_text().replace("\\u003c", "<")
    assert set(stage_costs(root, root)) >= {"write_report", "train_sft", "optimize_policy@dpo-0"}
    # whole models are in no cache: those of the state before lie here until they are merged again
    assert [line for line in dvc(root, "status").stdout.splitlines() if not line[:1].isspace()] == ["publish_models:"]
    assert ok(root, "dvc", "repro").count("Running stage") == 1
    assert "up to date" in dvc(root, "status").stdout
