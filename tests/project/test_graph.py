"""Where DVC keeps what it has cached, and the names of stages."""

from pathlib import Path

import pytest
from dvc.repo import Repo

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.project.graph import cache_folder, stage_names


@pytest.mark.parametrize("level", ["project", "local"])
def test_the_cache_is_where_dvcs_configuration_says(tmp_path: Path, level: str) -> None:
    root, elsewhere = tmp_path / "project", tmp_path / "big disk/cache"
    root.mkdir()
    repo = Repo.init(str(root), no_scm=True)
    assert cache_folder(root) == root / ".dvc/cache/files/md5"
    with repo.config.edit("repo" if level == "project" else "local") as config:
        config["cache"]["dir"] = str(elsewhere)
    assert cache_folder(root) == elsewhere / "files/md5"
    md5 = "0123456789abcdef0123456789abcdef"
    assert Contents(root).cached_path(md5) == elsewhere / "files/md5/01" / md5[2:]


def test_a_folder_without_dvc_says_so(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="DVC cache cannot be found"):
        cache_folder(tmp_path)


def test_the_names_of_stages_need_dvc_yaml_alone(tmp_path: Path) -> None:
    """What was run, and is in dvc.lock, takes longer to read than all else."""
    Repo.init(str(tmp_path), no_scm=True)
    assert stage_names(tmp_path) == set()
    (tmp_path / "params.yaml").write_text("seeds: [0, 1]\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  draw: {cmd: one}\n  train:\n    matrix: {seed: '${seeds}'}\n    cmd: two '${item.seed}'\n"
    )
    (tmp_path / "dvc.lock").write_text("stages: [")
    assert stage_names(tmp_path) == {"draw", "train@0", "train@1"}
    (tmp_path / "dvc.yaml").write_text("stages: [")
    with pytest.raises(PipelineError, match=r"dvc\.yaml"):
        stage_names(tmp_path)
