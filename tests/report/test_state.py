"""Which state a page is of, what `make repro` says of it, and the sheet that lies beside it."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.report.comparison import build_comparison
from pipeline.report.run_sheet import look_up, stage_costs, write_run_sheet
from pipeline.report.show import main as show
from pipeline.report.state import CHECKED_OUT, PAGE, RUNS, checked_out_script, digest, page_state, seal
from tests.conftest import ROOT
from tests.report.trained_files import edit_json, load
from tests.report.written_reports import write_synthetic_reports


@pytest.fixture(scope="module")
def written(write_report_params, drawn_plots, render, tmp_path_factory) -> Path:
    """A comparison and its page, as write_report leaves them, rendered once; no sheet."""
    root = tmp_path_factory.mktemp("state")
    write_synthetic_reports(root, ["dpo", "ppo"], seeds=[0], prompts=48, costs=True)
    shutil.copy(ROOT / "params.yaml", root)
    comparison = root / "reports/comparison.json"
    comparison.write_text(json.dumps(build_comparison(load(root), write_report_params).as_json()))
    page = render(load(root), drawn_plots).replace("0123456789abcdef", digest(comparison.read_bytes()))
    sealed, name = seal(page)
    (root / PAGE).write_text(sealed, encoding="utf-8")
    (root / CHECKED_OUT).write_text(checked_out_script(name))
    return root


@pytest.fixture
def project(written: Path, tmp_path: Path) -> Path:
    """The test's own copy."""
    return shutil.copytree(written, tmp_path, dirs_exist_ok=True)


def test_a_state_is_named_after_the_page(project: Path) -> None:
    text = (project / PAGE).read_text()
    state = page_state(project / PAGE)
    assert state is not None and text.count(state.name) >= 3
    assert seal(text.replace(state.name, "state-of-this-page")) == (text, state.name)
    assert seal("a page")[1] != seal("another")[1]


def test_repro_prints_the_page_of_the_comparison(project: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(project)
    show()
    assert f"report: {project / PAGE}" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["gone", "of another comparison", "not the one that git has", "something else"])
def test_repro_never_points_to_a_page_of_another_state(project: Path, monkeypatch, capsys, page: str) -> None:
    monkeypatch.chdir(project)
    if page == "of another comparison":
        edit_json(project / "reports/comparison.json", flags=[{"subject": "judge", "code": "new", "message": "New."}])
    elif page == "not the one that git has":
        (project / CHECKED_OUT).write_text(checked_out_script("0123456789abcdef"))
    elif page == "gone":
        (project / PAGE).unlink()
    else:
        (project / PAGE).write_text("<html>by hand</html>")
    show()
    out = capsys.readouterr().out
    assert "report: reports/index.html is" in out and "dvc checkout reports/index.html" in out
    with pytest.raises(PipelineError, match="dvc checkout"):
        look_up(project)


def sheet(project: Path) -> dict[str, object]:
    (path,) = (project / RUNS).iterdir()
    found: dict[str, object] = json.loads(path.read_text().removeprefix("showRun(").removesuffix(");\n"))
    return found


def test_the_sheet_says_who_made_the_state_and_nothing_hashes_it(project: Path, monkeypatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "<b>low</b>")
    state = page_state(project / PAGE)
    assert state is not None
    write_run_sheet(project, project, state.name, load(project))
    found = sheet(project)
    assert found["state"] == state.name
    assert "experiment <b>&lt;b&gt;low&lt;/b&gt;</b>" in found["slots"]["made"]
    assert "<" not in (project / RUNS / f"{state.name}.js").read_text()


def test_looking_up_keeps_who_made_it_and_takes_the_newest_costs(project: Path, monkeypatch) -> None:
    state = page_state(project / PAGE)
    assert state is not None
    monkeypatch.setenv("DVC_EXP_NAME", "low")
    write_run_sheet(project, project, state.name, load(project))
    made = sheet(project)["made"]
    monkeypatch.delenv("DVC_EXP_NAME")
    (project / "reports/costs.json").unlink()
    look_up(project)
    assert sheet(project)["made"] == made
    assert "Costs are missing</b> for all stages" in sheet(project)["slots"]["costs"]


def test_a_page_from_elsewhere_is_looked_up_as_such(project: Path) -> None:
    look_up(project)
    assert sheet(project)["made"]["here"] is False
    assert "Elsewhere; looked up on" in sheet(project)["slots"]["made"]


def test_costs_are_those_of_the_outputs_that_are_there(project: Path) -> None:
    assert stage_costs(project, project)["optimize_policy@dpo-0"].seconds == 88.0
    file = project / "reports/costs.json"
    recorded = json.loads(file.read_text())
    recorded["stages"]["optimize_policy@dpo-0"].append({"seconds": 5.0, "outs": {"optimize_policy@dpo-0": "other"}})
    recorded["stages"]["train_sft"][0]["outs"] = {"train_sft": "other"}
    file.write_text(json.dumps(recorded))
    found = stage_costs(project, project)
    assert found["optimize_policy@dpo-0"].seconds == 88.0, "the last run was of another variant"
    assert "train_sft" not in found


def test_the_page_of_an_experiment_apart_finds_its_sheet_in_the_project(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_run_sheet(project, home, "0123", load(project))
    assert (home / RUNS / "0123.js").is_file() and not (project / RUNS).exists()
