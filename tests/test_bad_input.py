"""Bad input stops a stage before any work, with one clear message, exit code 1 and nothing half-written."""

import importlib
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from pipeline.errors import PipelineError
from pipeline.stage import execution, outputs, run
from tests.recipes.running import NoTracker
from tests.tiny_project import create_tiny_project, edit_params


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_tiny_project(tmp_path_factory.mktemp("template"))


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """As after check and fetch_models, whose policy only chats are written out with."""
    root = Path(shutil.copytree(template, tmp_path / "project"))
    (root / "artifacts/models/policy").mkdir(parents=True)
    (root / "artifacts/check.json").write_text('{"passed": true}')
    return root


@pytest.fixture(autouse=True)
def shared_store(template: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One MLflow store for all tests: creating its tables takes longer than a stage that stops at once."""
    uri = f"sqlite:///{template / 'mlflow.db'}"
    if not (template / "mlflow.db").exists():
        shutil.copy(empty_store, template / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def launch_stage(root: Path, stage: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.launch", stage]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture
def assert_stops(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., None]:
    """Runs a stage in this process, without MLflow, where its libraries are imported already."""

    def stops(stage: str, *messages: str) -> None:
        monkeypatch.chdir(project)
        monkeypatch.setattr(execution, "RunTracker", NoTracker)
        main = importlib.import_module(f"stages.{stage}").main
        assert run._execute(main, {}, stage=stage, fixed={}, show_traceback=False) == 1
        said = capsys.readouterr().err
        assert "Traceback" not in said
        for message in messages:
            assert message in said
        assert_nothing_written(project, stage)

    return stops


def assert_nothing_written(root: Path, stage: str) -> None:
    assert sorted(path.name for path in (root / "artifacts").rglob("*")) == ["check.json", "models", "policy"]
    assert not list(root.glob(f".state/resume/{stage}/*/outputs/**/*.*"))


@pytest.mark.slow(beside="test_a_missing_data_file_is_named")
def test_the_check_names_all_that_is_wrong_before_a_model_is_fetched(project: Path) -> None:
    (project / "data/models/policy/model.safetensors").unlink()
    edit_params(project, {"data.source": "data/raw/absent.csv", "judge.kind": "chat"})
    result = launch_stage(project, "check")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "3 errors" in result.stderr and "data/raw/absent.csv" in result.stderr
    lines = (project / "params.yaml").read_text().splitlines()
    source = next(at for at, line in enumerate(lines, start=1) if line.strip() == "source: data/raw/absent.csv")
    assert f"params.yaml:{source}: data.source (now data/raw/absent.csv)" in result.stdout
    for message in ("data/models/policy has no weights", "OPENAI_API_KEY", "judge.endpoint.key_variable"):
        assert message in " ".join(result.stdout.split())


def test_a_missing_data_file_is_named(project: Path, assert_stops: Callable[..., None]) -> None:
    edit_params(project, {"data.source": "data/raw/absent.csv"})
    assert_stops("prepare_data", "data/raw/absent.csv", "data.source")


def test_an_empty_data_file_is_named(project: Path, assert_stops: Callable[..., None]) -> None:
    (project / "data/raw/empty.csv").write_text("")
    edit_params(project, {"data.source": "data/raw/empty.csv"})
    assert_stops("prepare_data", "data/raw/empty.csv", "is empty")


def test_a_data_set_without_rows_is_named(project: Path, assert_stops: Callable[..., None]) -> None:
    (project / "data/raw/header.csv").write_text("text,label\n")
    edit_params(project, {"data.source": "data/raw/header.csv"})
    assert_stops("prepare_data", "data/raw/header.csv", "no rows")


def test_a_missing_column_is_named(project: Path, assert_stops: Callable[..., None]) -> None:
    edit_params(project, {"data.columns.text": "review"})
    assert_stops("prepare_data", "data.columns.text", "'review'", "text, label")


def test_an_unknown_key_is_named_with_its_section(project: Path, assert_stops: Callable[..., None]) -> None:
    edit_params(project, {"optimize.ppo.kl_coeff": 0.1})
    assert_stops("prepare_data", "optimize.ppo.kl_coeff", "unknown key")


def test_a_model_folder_without_weights_is_named(project: Path, assert_stops: Callable[..., None]) -> None:
    (project / "data/models/policy/model.safetensors").unlink()
    assert_stops("fetch_models", "models.policy.source", "data/models/policy", "no weights")


def test_a_missing_input_names_the_command_that_builds_it(project: Path, assert_stops: Callable[..., None]) -> None:
    assert_stops("train_sft", "artifacts/data/texts/train.jsonl", "dvc repro")


def test_a_failed_stage_is_a_failed_run(project: Path, shared_store: str) -> None:
    edit_params(project, {"data.source": "data/raw/absent.csv", "tracking.experiment": "failing"})
    assert launch_stage(project, "prepare_data").returncode == 1
    assert_nothing_written(project, "prepare_data")
    client = mlflow.MlflowClient(shared_store)
    experiment = client.get_experiment_by_name("failing-stages")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"


def test_a_full_disk_is_noticed_before_the_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(outputs.shutil, "disk_usage", lambda _: usage(2**40, 2**40 - 2**20, 2**20))
    with pytest.raises(PipelineError, match=r"1,024 MiB.*only 1 MiB free"):
        outputs.require_disk_space(tmp_path, 2**30, purpose="the output of stage train_sft")


def test_a_failing_stage_leaves_the_previous_output_alone(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("before")
    staged = outputs.StagedOutputs(tmp_path, tmp_path / ".state/staging", [Path("out.txt")])
    staged.path("out.txt").write_text("half")
    staged.discard()
    assert (tmp_path / "out.txt").read_text() == "before"
