"""What was changed through a link into DVC's cache is told before a stage reads it."""

import shlex
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.project import cache_links
from pipeline.project.cache_links import STAMP, check_cache
from tests.dvc_here import dvc


@pytest.fixture(
    scope="module",
    params=[
        "",
        pytest.param(
            "../elsewhere", marks=pytest.mark.slow(beside="test_a_change_through_a_link_is_told_and_mended_as_it_says")
        ),
    ],
)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, packed, with a file and a folder under DVC, whose cache may be another folder beside it."""
    root = tmp_path_factory.mktemp("made") / "project"
    (root / "data/raw/set").mkdir(parents=True)
    (root / "data/raw/mine.csv").write_text("a,b\n")
    (root / "data/raw/set/part.csv").write_text("c,d\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True, capture_output=True)
    dvc(root, "init", "-q")
    dvc(root, "config", "cache.type", "hardlink,copy")
    if request.param:
        dvc(root, "config", "--local", "cache.dir", request.param)
    dvc(root, "add", "-q", "data/raw/mine.csv", "data/raw/set")
    check_cache(root, root)
    packed = root.parent / "made.tar"  # which keeps hard links and times
    with tarfile.open(packed, "w") as archive:
        for folder in sorted(root.parent.glob("*/")):
            archive.add(folder, folder.name)
    return packed


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A test's own copy of the project."""
    with tarfile.open(made) as archive:
        archive.extractall(tmp_path, filter="fully_trusted")
    return tmp_path / "project"


def edit(file: Path) -> None:
    """As root may."""
    file.chmod(0o644)
    with file.open("a") as stream:
        stream.write("e,f\n")


@pytest.mark.parametrize("name", ["data/raw/mine.csv", "data/raw/set/part.csv"])
@pytest.mark.parametrize("added", [False, True])
def test_a_change_through_a_link_is_told_and_mended_as_it_says(root: Path, name: str, added: bool) -> None:
    """Also when DVC has taken the change under its new hash already, as `dvc repro` does before the first stage."""
    file = root / name
    assert not file.stat().st_mode & 0o222
    edit(file)
    if added:
        dvc(root, "add", "-q", name if "mine" in name else "data/raw/set")
    for _ in range(2):  # it is not forgotten
        with pytest.raises(PipelineError, match=f"{name}: changed in place") as told:
            check_cache(root, root)
    commands = [
        part for part in str(told.value).split("`") if part.startswith(("dvc unprotect data", "rm -f", "dvc add"))
    ]
    for program, *arguments in map(shlex.split, commands[1:]):  # the first is for what a stage wrote
        if program == "dvc":
            dvc(root, *arguments)
        else:
            subprocess.run([program, *arguments], cwd=root, check=True, capture_output=True)
    check_cache(root, root)
    assert file.read_text().endswith("e,f\n")
    dvc(root, "status")


def test_an_edit_of_a_copy_is_nothing_to_tell(root: Path) -> None:
    dvc(root, "unprotect", "data/raw/mine.csv")
    edit(root / "data/raw/mine.csv")
    check_cache(root, root)


def test_what_was_looked_at_is_not_hashed_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    original = cache_links.content_hash
    monkeypatch.setattr(cache_links, "content_hash", lambda path: hashed.append(path) or original(path))
    monkeypatch.setattr(cache_links, "_MARGIN_SECONDS", 0.0)
    time.sleep(0.05)
    check_cache(root, root)
    check_cache(root, root)
    assert hashed == []
    (root / STAMP).unlink()
    check_cache(root, root)
    assert len(hashed) == 2
