"""Finds files by content hash: in DVC's cache, in the working folder if they are unchanged, or in git."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipeline.data.records import JsonObject
from pipeline.project.graph import cache_folder
from pipeline.project.hashing import cached_path, content_hash, counted_files
from pipeline.project.lockfile import Artifact, revision_file


class Contents:
    """Reads present and past versions of artifacts."""

    def __init__(self, root: Path, *, revision: str | None = None) -> None:
        """The present version is that of a git revision, or without one that of the working folder."""
        self._root = root
        self._revision = revision
        self._hashes: dict[str, str | None] = {}
        self._here: dict[str, str | None] = {}
        self._whole: dict[str, bool] = {}
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def current_hash(self, path: str) -> str | None:
        """Content hash of the present version of a path; None if it does not exist."""
        if path not in self._hashes:
            self._hashes[path] = self.hash_here(path) if self._revision is None else self._committed(path)
        return self._hashes[path]

    def hash_here(self, path: str) -> str | None:
        """Content hash of a path in the working folder; None if it does not exist."""
        if path not in self._here:
            self._here[path] = self._hash(path)
        return self._here[path]

    def hashes_below(self, folder: str) -> Iterator[tuple[Path, str]]:
        """The files below a folder of the project, as they are now, each with its content hash."""
        files = counted_files(self._root / folder)
        for _, file in sorted(files.items()):
            yield file, str(self.hash_here(self.relative(file)))

    def full(self, path: str) -> Path:
        """The absolute path of a path of the project."""
        return self._root / path

    def relative(self, file: Path) -> str:
        """A path relative to the root of the project; one outside of it stays as it is."""
        return file.relative_to(self._root).as_posix() if file.is_relative_to(self._root) else file.as_posix()

    def _hash(self, path: str) -> str | None:
        full = self._root / path
        return content_hash(full) if full.exists() else None

    def _committed(self, path: str) -> str | None:
        content = revision_file(self._root, self._revision or "HEAD", path)
        return None if content is None else hashlib.md5(content, usedforsecurity=False).hexdigest()

    def files(self, artifact: Artifact) -> dict[str, str] | None:
        """Paths of an artifact's files with the hash of each; None if this version of it cannot be found."""
        if not artifact.md5.endswith(".dir"):
            return {artifact.path: artifact.md5}
        listing = self._cached(artifact.md5)
        if listing is not None:
            rows = json.loads(listing.read_text())
            return {f"{artifact.path}/{row['relpath']}": row["md5"] for row in rows}
        if self._hash(artifact.path) != artifact.md5:
            return None
        folder = self._root / artifact.path
        paths = (file.relative_to(self._root).as_posix() for file in sorted(folder.rglob("*")) if file.is_file())
        return {path: content_hash(self._root / path) for path in paths}

    def locate(self, path: str, md5: str) -> Path | None:
        """A file with this content, wherever it is; None if there is none."""
        cached = self._cached(md5)
        if cached is not None:
            return cached
        full = self._root / path
        return full if full.is_file() and self.hash_here(path) == md5 else self._from_git(path, md5)

    def _from_git(self, path: str, md5: str) -> Path | None:
        """A copy of the file that the revision (or the last commit) has at a path, if it has this content."""
        if self._committed(path) != md5:
            return None
        self._scratch = self._scratch or tempfile.TemporaryDirectory()
        copy = Path(self._scratch.name) / md5 / PurePosixPath(path).name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(revision_file(self._root, self._revision or "HEAD", path) or b"")
        return copy

    def lines(self, path: str, md5: str) -> Iterator[str] | None:
        """Lines of the file with this content, read one by one; None if it cannot be found."""
        file = self.locate(path, md5)
        return None if file is None else _lines(file)

    def records(self, path: str, md5: str) -> list[JsonObject] | None:
        """Rows of the JSON Lines file with this content; None if it cannot be found."""
        lines = self.lines(path, md5)
        return None if lines is None else [json.loads(line) for line in lines]

    def record_files(self, artifact: Artifact) -> dict[str, list[JsonObject]] | None:
        """The JSON Lines files of an artifact, with their rows; None if this version of it cannot be found."""
        files = self.files(artifact)
        if files is None:
            return None
        read = {path: self.records(path, md5) for path, md5 in files.items() if path.endswith(".jsonl")}
        whole = {path: rows for path, rows in read.items() if rows is not None}
        return whole if len(whole) == len(read) else None

    def cache_breaks(self, artifact: Artifact) -> list[str]:
        """Which files of an output are missing in DVC's cache, or have another content there, a sentence each."""
        defect = self._cache_break(artifact.path, artifact.md5)
        if defect or not artifact.md5.endswith(".dir"):
            return [defect] if defect else []
        files = self.files(artifact) or {}
        return [line for path, md5 in files.items() if (line := self._cache_break(path, md5))]

    def _cache_break(self, path: str, md5: str) -> str | None:
        file = self.cached_path(md5)
        if not file.exists():
            mend = "`dvc fetch` gets it from a remote, `dvc commit` from the working folder"
            return f"cache: {path} ({md5[:12]}) is missing in {self._cache}; {mend}"
        if content_hash(file) == md5.removesuffix(".dir"):
            return None
        mend = "remove that file, then `dvc fetch`, or `dvc commit` while the working folder is right"
        return f"cache: {path} ({md5[:12]}) is corrupt: {file} has another content; {mend}"

    def difference(self, artifact: Artifact) -> str:
        """How the working folder differs from an artifact: by file and line, as far as its version is in the cache."""
        now = self._root / artifact.path
        if not now.exists():
            return f"{artifact.path}: missing; `dvc checkout` brings it back"
        files = self.files(artifact)
        if files is None:
            return f"{artifact.path}: changed, and the version of the run is not in the DVC cache"
        present = [now] if now.is_file() else sorted(file for file in now.rglob("*") if file.is_file())
        hashes = {file.relative_to(self._root).as_posix(): content_hash(file) for file in present}
        notes = [f"{path}: added" for path in sorted(hashes.keys() - files.keys())]
        notes += [f"{path}: missing" for path in sorted(files.keys() - hashes.keys())]
        changed = sorted(path for path in hashes.keys() & files.keys() if hashes[path] != files[path])
        notes += [self._file_difference(path, files[path]) for path in changed]
        return "; ".join(notes)

    def _file_difference(self, path: str, md5: str) -> str:
        original = self._cached(md5)
        if original is None or PurePosixPath(path).suffix not in (".jsonl", ".json", ".csv", ".txt", ".md"):
            return f"{path}: changed"
        before, after = (
            file.read_bytes().decode(errors="replace").splitlines() for file in (original, self._root / path)
        )
        different = [number for number, (a, b) in enumerate(zip(before, after, strict=False), start=1) if a != b]
        if not different:
            return f"{path}: {len(after)} lines instead of {len(before)}"
        return f"{path}: changed from line {different[0]} on ({len(different)} lines differ)"

    def cached_path(self, md5: str) -> Path:
        """The path at which DVC's cache keeps the content with this md5; the file need not exist."""
        return cached_path(self._cache, md5)

    @cached_property
    def _cache(self) -> Path:
        return cache_folder(self._root)

    def _cached(self, md5: str) -> Path | None:
        """The cached file with this md5, if its content really has it: a damaged or edited file is not used."""
        path = self.cached_path(md5)
        if md5 not in self._whole:
            self._whole[md5] = path.exists() and content_hash(path) == md5.removesuffix(".dir")
        return path if self._whole[md5] else None


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as stream:
        for line in stream:
            if line.strip():
                yield line
