"""The files that prepare_data read, each identified by the hash of its content at that time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.params.dotted import DottedParams
from pipeline.project.lockfile import Artifact, Lock

REPORT = "reports/data/sources.json"
STAGE = "prepare_data"
FOLDER = "data/raw"
LOST = "the version of the run is neither here, nor in git, nor in the DVC cache"
_PACKAGES = "requirements-embedded.txt"
_HUB = "hub:"
_SHOWN = 12
"""Hex digits of a hash."""


@dataclass(frozen=True)
class SourceFile:
    """One source of a run."""

    name: str
    """Name of the file, as the run has it."""
    md5: str | None
    """Hash of the content; None for a data set on a hub, and for runs from before hashes were recorded."""
    rows: int | None
    """How many it had."""
    path: str
    """Relative to the root of the project, or absolute."""


class SourceFiles:
    """The sources of one run, and files that have their contents now."""

    def __init__(self, lock: Lock, contents: Contents) -> None:
        self._lock, self._contents = lock, contents
        stage = lock.stages.get(STAGE)
        self._params: DottedParams = stage.params if stage is not None else {}
        self._deps = {dep.path: dep.md5 for dep in stage.inputs} if stage is not None else {}
        self.missing: str | None = None
        """Why the sources are not known; None if they are."""
        self.all = {source.name: source for source in self._read()}

    @property
    def largest_row(self) -> float | None:
        """`data.max_row_megabytes` of the run, None where it had no such limit."""
        return self._params.get("data.max_row_megabytes")

    @property
    def split(self) -> str:
        """`data.split` of the run."""
        return str(self._params.get("data.split", "train"))

    def locate(self, source: SourceFile) -> Path:
        """A file with the content that the source had in the run.

        Raises:
            PipelineError: there is none, or that content is not known.
        """
        if source.name.startswith(_HUB):
            raise PipelineError(
                f"{source.name} is a data set on a hub, and an audit sends no requests: its rows are not shown"
            )
        if source.md5 is None:
            self._require_unchanged(source)
            return self._contents.full(source.path)
        file = self.find(source)
        if file is None:
            raise PipelineError(
                f"{self.state(source)}, and {LOST}: its rows are not shown. Restore the file that the run read, or run "
                f"`dvc repro {STAGE}`"
            )
        return file

    def find(self, source: SourceFile) -> Path | None:
        """A file with the recorded content: from the cache, at its path, in git, or renamed; None if there is none."""
        if source.md5 is None:
            return None
        return self._contents.locate(source.path, source.md5) or self._renamed(source)

    def state(self, source: SourceFile) -> str | None:
        """How the file at its path differs from what the run read; None if it does not, or if nobody knows."""
        if source.md5 is None or source.name.startswith(_HUB):
            return None
        now = self._contents.full(source.path)
        if not now.exists():
            other = self._renamed(source)
            moved = f"; {self._contents.relative(other)} has its content" if other is not None else ""
            return f"{source.name}: missing{moved}"
        here = self._contents.hash_here(source.path)
        if here == source.md5:
            return None
        return f"{source.name}: another content ({str(here)[:_SHOWN]}) than {STAGE} read ({source.md5[:_SHOWN]})"

    def _require_unchanged(self, source: SourceFile) -> None:
        """Refuse a source without a recorded hash, unless a dependency of the stage shows that it is unchanged.

        Such dependencies are data/raw as a whole, and the list of packages for a file inside one.
        """
        watched = FOLDER if Artifact(FOLDER, "").covers(source.path) else None
        watched = _PACKAGES if Path(source.path).is_absolute() and "site-packages" in source.path else watched
        if watched is None or watched not in self._deps:
            raise PipelineError(f"nothing says what {source.name} held in the run: its rows are not shown")
        if self._contents.hash_here(watched) != self._deps[watched]:
            raise PipelineError(
                f"{watched} has changed since {STAGE} ran, which noted no hash of {source.name}: its rows are not shown"
            )

    def _renamed(self, source: SourceFile) -> Path | None:
        """A file of data/raw with another name that has the content."""
        return next((path for path, md5 in self._contents.hashes_below(FOLDER) if md5 == source.md5), None)

    def _read(self) -> Iterator[SourceFile]:
        written = self._lock.producer(REPORT)
        is_output = written is not None and written[1].path == REPORT
        file = self._contents.locate(REPORT, written[1].md5) if written is not None and is_output else None
        if file is None:
            self.missing = f"{REPORT} is neither here nor in the DVC cache, which says what the sources of the run were"
            return
        packages = self._packages()
        for source in json.loads(file.read_text()).get("sources", []):
            path = packages.get(source["file"], Path(source["file"])).as_posix()
            yield SourceFile(source["file"], source.get("md5"), source.get("rows"), path)

    def _packages(self) -> dict[str, Path]:
        from pipeline.reading.sources import package_files  # takes seconds to import

        named = self._params.get("data.source", [])
        if not any(name.startswith("package:") for name in _names(named)):
            return {}
        try:
            return package_files(named)
        except PipelineError:
            return {}  # the file is then reported as missing


def _names(source: Any) -> list[str]:
    return [source] if isinstance(source, str) else [str(part["name"]) for part in source]
