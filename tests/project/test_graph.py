"""Where DVC keeps what it has cached."""

from pathlib import Path

import pytest
from dvc.repo import Repo

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.project.graph import cache_folder


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
