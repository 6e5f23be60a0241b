"""Files of a model in a second folder."""

import os
from pathlib import Path

import pytest

from pipeline.release.folder import link_files, sha256


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")
    (folder / "config.json").write_text("{}")
    (folder / "checkpoints/step.bin").write_text("a checkpoint on the way")
    return folder


def test_weights_are_on_the_disk_once_and_folders_stay_behind(tmp_path: Path, source: Path) -> None:
    files = link_files(source, tmp_path / "target")
    assert [file.name for file in files] == ["config.json", "model.safetensors"]
    assert len(list((tmp_path / "target").iterdir())) == 2
    for file in files:
        assert file.stat().st_ino == (source / file.name).stat().st_ino


def test_a_disk_that_cannot_link_gets_copies(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    for file in link_files(source, tmp_path / "target"):
        assert file.read_bytes() == (source / file.name).read_bytes()
        assert file.stat().st_ino != (source / file.name).stat().st_ino


def test_digests_are_those_of_sha256sum(source: Path) -> None:
    assert sha256(source / "config.json") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
