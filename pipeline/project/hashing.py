"""Content hashes as DVC writes them to dvc.lock, from the standard library."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

from pipeline.processes import usable_cores

IGNORED = ("__pycache__/", ".DS_Store", ".gitignore", "*.tmp")
"""The patterns of .dvcignore: a folder's hash counts neither such files nor what lies in such folders."""


def content_hash(path: Path) -> str:
    """DVC's md5 of a file or folder; the same string that dvc.lock holds for it.

    A folder's hash is the md5 of its file list, as JSON sorted by relative path, with `.dir` appended. Files that
    .dvcignore names are left out, such as the .gitignore that `dvc add` writes beside a file.

    Raises:
        FileNotFoundError: nothing is there.
    """
    if not path.is_dir():
        return _file_hash(path)
    files = counted_files(path)
    with ThreadPoolExecutor(usable_cores()) as threads:  # hashing releases the interpreter's lock
        return folder_hash(dict(zip(files, threads.map(_file_hash, files.values()), strict=True)))


def sha256(file: Path) -> str:
    """Hexadecimal digest of a file, as `sha256sum` prints it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_hash(files: Mapping[str, str]) -> str:
    """DVC's hash of a folder from the hash of each of its files, by path in it."""
    # by the plain string: sorting by path parts gives another order, and so another hash
    rows = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    listing = json.dumps(rows, sort_keys=True).encode()
    return hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir"


def cached_path(cache: Path, md5: str) -> Path:
    """The path at which DVC's cache keeps the content with this md5; the file need not exist."""
    return cache / md5[:2] / md5[2:]


def content_size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in counted_files(path).values())
    return path.stat().st_size


def counted_files(folder: Path) -> dict[str, Path]:
    """The files of a folder, at any depth, that its hash counts, by their path in it."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return {name: file for name, file in files.items() if not _is_ignored(name)}


def _is_ignored(name: str) -> bool:
    *folders, last = name.split("/")
    return any(
        any(fnmatch(part, pattern[:-1]) for part in folders)
        if pattern.endswith("/")
        else any(fnmatch(part, pattern) for part in (*folders, last))
        for pattern in IGNORED
    )


def _file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
