"""What a run keeps on the disk: weights once, adapters as adapters, whole models in the release alone."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.project.hashing import cached_path, content_hash
from tests.tiny_pipeline.conftest import run

CACHE = ".dvc/cache/files/md5"


def weights_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.safetensors") if file.is_file())


def test_whole_policies_are_the_starting_one_and_the_released_ones(project: Path) -> None:
    """Everything else of a policy is adapters: what training made, and what it lies on is named."""
    artifacts = project / "artifacts"
    for folder in ("sft", "training", "policies", "inputs/hybrid/seed-0/policy"):
        found = weights_of(artifacts / folder)
        assert found and {file.name for file in found} == {"adapter_model.safetensors"}
        assert all((file.parent / "base.json").is_file() for file in found)
    assert {file.name for file in weights_of(artifacts / "release")} == {"model.safetensors"}


def test_weights_are_on_the_disk_once(project: Path) -> None:
    """A file of the cache and the same file of the working folder, however often it is handed on, are one."""
    places: dict[str, set[int]] = {}
    for file in weights_of(project / "artifacts"):
        if file.is_relative_to(project / "artifacts/release") and "reward_model" not in file.parts:
            continue
        md5 = content_hash(file)
        cached = cached_path(project / CACHE, md5)
        places.setdefault(md5, set()).update({file.stat().st_ino, cached.stat().st_ino})
    assert len(places) > 8 and all(len(inodes) == 1 for inodes in places.values())


def test_released_weights_are_not_in_the_cache(project: Path) -> None:
    for name in ("sft", "dpo", "ppo", "hybrid"):
        (file,) = weights_of(project / "artifacts/release" / name)
        assert not cached_path(project / CACHE, content_hash(file)).exists()


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_what_shares_a_place_with_the_cache_is_read_only(project: Path) -> None:
    """So that an editor cannot change the cache through a link: docs/operations.md says what to do instead."""
    cached = {file.stat().st_ino for file in (project / CACHE).rglob("*") if file.is_file()}
    files = [file for folder in ("artifacts", "reports") for file in (project / folder).rglob("*") if file.is_file()]
    linked = [file for file in files if file.stat().st_ino in cached]
    assert len(linked) > 50 and not [file for file in linked if file.stat().st_mode & 0o222]
    for path in ("reports/headline.json", "reports/state.js", "params.yaml", "data/raw/reviews.csv", "dvc.lock"):
        assert (project / path).stat().st_mode & 0o200, path


@pytest.mark.slow(beside="tests/stage/test_outputs.py::test_old_outputs_are_replaced_whole")
def test_a_stage_runs_again_over_links_and_leaves_the_cache_as_it_was(project: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(project, root, symlinks=True)
    before = {file: content_hash(file) for file in (root / CACHE).rglob("*") if file.is_file()}
    result = run(root, "dvc", "repro", "--force", "--single-item", "publish_models", "score_reference")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert {file: content_hash(file) for file in before} == before
    assert "up to date" in run(root, "dvc", "status").stdout


@pytest.mark.slow(beside="tests/tiny_pipeline/test_release.py::test_the_model_is_the_trained_one_and_loads")
def test_the_release_is_merged_again_where_it_is_missing(project: Path, tmp_path: Path) -> None:
    """A clone that pulled has everything but whole models; the same bytes come back, and nothing is trained."""
    root = tmp_path / "copy"
    shutil.copytree(project, root, symlinks=True)
    shutil.rmtree(root / "artifacts/release")
    result = run(root, "dvc", "repro")
    assert result.returncode == 0 and result.stdout.count("Running stage") == 1
    assert content_hash(root / "artifacts/release") == content_hash(project / "artifacts/release")
