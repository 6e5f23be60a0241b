"""Outputs appear whole or not at all."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.stage.outputs import StagedOutputs, require_disk_space

FOLDER, FILE = Path("artifacts/model"), Path("reports/metrics.json")


@pytest.fixture
def outputs(tmp_path: Path) -> StagedOutputs:
    return StagedOutputs(tmp_path, tmp_path / ".state/staging", [FOLDER, FILE])


def write_all(outputs: StagedOutputs, content: str) -> None:
    folder = outputs.path("artifacts/model")
    folder.mkdir(exist_ok=True)
    (folder / "weights").write_text(content)
    outputs.path("reports/metrics.json").write_text(content)


def test_nothing_is_in_place_before_publishing(tmp_path: Path, outputs: StagedOutputs) -> None:
    write_all(outputs, "new")
    assert not (tmp_path / FOLDER).exists() and not (tmp_path / FILE).exists()
    outputs.publish()
    assert (tmp_path / FOLDER / "weights").read_text() == (tmp_path / FILE).read_text() == "new"
    assert not (tmp_path / ".state/staging").exists()


def test_old_outputs_are_replaced_whole(tmp_path: Path, outputs: StagedOutputs) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "left_over").write_text("old")
    write_all(outputs, "new")
    outputs.publish()
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["weights"]


def test_a_missing_output_keeps_everything_as_it_was(tmp_path: Path, outputs: StagedOutputs) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text("old")
    outputs.path("reports/metrics.json").write_text("new")
    with pytest.raises(PipelineError, match="without writing artifacts/model"):
        outputs.publish()
    assert (tmp_path / FILE).read_text() == "old"
    assert not (tmp_path / FOLDER).exists()


def test_discarding_leaves_nothing(tmp_path: Path, outputs: StagedOutputs) -> None:
    write_all(outputs, "new")
    outputs.discard()
    assert not (tmp_path / ".state/staging").exists() and not (tmp_path / FOLDER).exists()
    outputs.discard()


def test_what_a_killed_run_left_behind_is_not_published(tmp_path: Path, outputs: StagedOutputs) -> None:
    write_all(outputs, "half")
    again = StagedOutputs(tmp_path, tmp_path / ".state/staging", [FOLDER, FILE])
    with pytest.raises(PipelineError, match="without writing"):
        again.publish()


@pytest.mark.parametrize("out", ["reports/other.json", "artifacts/model2", "artifacts"])
def test_undeclared_outputs_are_refused(outputs: StagedOutputs, out: str) -> None:
    with pytest.raises(PipelineError, match=r"dvc\.yaml declares no output"):
        outputs.path(out)


def test_a_file_inside_a_declared_folder_is_declared(outputs: StagedOutputs) -> None:
    path = outputs.path("artifacts/model/checkpoints/step-1")
    assert path.parent.is_dir() and not path.exists()


def test_a_full_disk_is_noticed_before_the_work(tmp_path: Path) -> None:
    require_disk_space(tmp_path, 1, purpose="a small file")
    with pytest.raises(PipelineError, match=r"the model needs 1,099,511,627,776 MiB.*MiB free"):
        require_disk_space(tmp_path, 2**60, purpose="the model")
