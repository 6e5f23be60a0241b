"""Content hashes are DVC's own, on a tree with everything that could differ."""

import os
from pathlib import Path

import pytest
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_objects.fs.local import LocalFileSystem
from dvc_objects.fs.memory import MemoryFileSystem

from pipeline.project.hashing import IGNORED, content_hash, content_size
from tests.conftest import ROOT


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    files = {
        "plain.txt": b"hello\n",
        "windows.txt": b"a\r\nb\r\n",
        "empty": b"",
        "caf\u00e9.txt": "na\u00efve \U0001f600".encode(),
        "binary.bin": bytes(range(256)) * 9,
        # sorting by path parts and by the string differ here: "-" and "." come before "/"
        "a/b.txt": b"1",
        "a-b/c.txt": b"2",
        "a.b/c.txt": b"3",
        "a/b/c/deep.txt": b"4",
        "A/upper.txt": b"5",
        'with space/and"quote.txt': b"6",
        ".hidden/file": b"7",
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "empty_folder").mkdir()
    return root


def dvc_hash(path: Path) -> str:
    store = HashFileDB(MemoryFileSystem(), "/store")
    _, _, found = build(store, os.fspath(path), LocalFileSystem(), "md5", dry_run=True)
    return found.hash_info.value


def test_a_folder_has_dvcs_hash(tree: Path) -> None:
    assert content_hash(tree) == dvc_hash(tree)
    assert content_hash(tree).endswith(".dir")


def test_every_file_has_dvcs_hash(tree: Path) -> None:
    files = [path for path in tree.rglob("*") if path.is_file()]
    assert len(files) == 12
    assert [content_hash(path) for path in files] == [dvc_hash(path) for path in files]


def test_an_empty_folder_has_dvcs_hash(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert content_hash(tmp_path / "empty") == dvc_hash(tmp_path / "empty")


def test_names_and_contents_count_and_times_do_not(tree: Path) -> None:
    first = content_hash(tree)
    os.utime(tree / "plain.txt", (0, 0))
    assert content_hash(tree) == first
    (tree / "plain.txt").rename(tree / "other.txt")
    renamed = content_hash(tree)
    (tree / "other.txt").write_bytes(b"hello!\n")
    assert len({first, renamed, content_hash(tree)}) == 3


def test_nothing_there_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content_hash(tmp_path / "missing")


def test_sizes_add_up(tree: Path) -> None:
    assert content_size(tree / "plain.txt") == 6
    assert content_size(tree / "a") == 2
    assert content_size(tree) == sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())


def test_what_dvcignore_names_does_not_count(tmp_path: Path) -> None:
    lines = (ROOT / ".dvcignore").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == list(IGNORED)
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/rows.csv").write_text("a row")
    bare = content_hash(tmp_path / "tree")
    for name in ("__pycache__/a.pyc", "deep/.gitignore", ".DS_Store", "rows.csv.tmp"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("not counted")
    assert content_hash(tmp_path / "tree") == bare
    assert content_size(tmp_path / "tree") == len("a row")
