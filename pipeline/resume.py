"""The saved state of an unfinished stage, from which its next execution resumes.

It lies under `.state/resume/STAGE/KEY`, outside the outputs. The key is a hash of everything that decides the outputs
(inputs, code, parameters, library versions), so a state of other inputs is never used. Such a state is removed, unless
a process that still works with it holds the lock of its folder.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.locks import try_lock_open

FOLDER = Path(".state/resume")
State = dict[str, Any]
"""Nested dictionaries, lists and tuples of tensors, numbers, texts and None."""


def resume_key(facts: Mapping[str, object]) -> str:
    """Hash of what decides the outputs of a stage."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:24]


class Resume:
    """Saves states while a stage works, and restores them when it is started again."""

    def __init__(
        self, root: Path, stage: str, key: str, *, every_steps: int, max_share: float = 1.0, keep_others: bool = False
    ) -> None:
        """Remove drafts of a killed process and, unless `keep_others`, states of other keys that no process holds.

        Args:
            every_steps: training saves its state no more often.
            max_share: of the time, which saving the state of a training may take.
        """
        self.folder = root / FOLDER / stage / key
        self.every_steps, self.max_share = every_steps, max_share
        for other in [] if keep_others else self.folder.parent.glob("*"):
            if other != self.folder:
                _remove_unheld(other)
        for draft in self.folder.glob("*.tmp"):
            draft.unlink()

    @property
    def found(self) -> bool:
        """Whether there is a state to resume from."""
        return any(self.folder.glob("*.pt"))

    def found_parts(self) -> tuple[str, list[str]]:
        """Folder, and file names of the states in it: for `FollowedResume`."""
        return str(self.folder), sorted(path.name for path in self.folder.glob("*.pt"))

    def restore(self, part: str = "training") -> State | None:
        """The newest state of one part of the stage's work, None when there is none.

        Raises:
            PipelineError: the disk has lost some of it.
        """
        import torch

        path = self._path(part)
        if not path.exists():
            return None
        try:
            state: State = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError) as error:
            raise PipelineError(
                f"{path}: the saved state of an unfinished stage is damaged ({' '.join(str(error).split())[:80]}). "
                "Remove the file; what it held is computed again."
            ) from error
        return state

    def save_now(self, state: State, part: str = "training") -> None:
        """Store a state in place of the last one of its part, whole or not at all.

        Raises:
            OSError: the disk is full or not writable.
        """
        import torch

        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self._path(part).with_suffix(".tmp")
        with draft.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(self._path(part))

    def read_note(self, name: str) -> str | None:
        """A short text kept beside the states, None when there is none."""
        path = self.folder / f"{name}.txt"
        return path.read_text() if path.exists() else None

    def write_note(self, name: str, text: str) -> None:
        """Keep a short text, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f"{name}.tmp"
        draft.write_text(text)
        draft.replace(self.folder / f"{name}.txt")

    def clear(self, *, keep: Path | None = None) -> None:
        """Remove all states and notes; the folder itself stays, and so does `keep`, a folder in it."""
        for path in self.folder.glob("*"):
            if path.is_dir() and path != keep:
                shutil.rmtree(path)
            elif not path.is_dir():
                path.unlink()

    def discard(self) -> None:
        """Remove the folder: the stage has succeeded."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # states of other executions lie there
            self.folder.parent.rmdir()

    def _path(self, part: str) -> Path:
        return self.folder / f"{part.replace(' ', '-').replace('/', '-')}.pt"


class FollowedResume(Resume):
    """For the other processes that work on a stage: they read the states that the first has found, and save none.

    What the first saves later is nothing to go on from for them, or they would leave out what it waits for.
    """

    def __init__(self, folder: Path, parts: Collection[str]) -> None:
        """Args:
        folder: of the states.
        parts: names of the files that the first process found there.
        """
        self.folder, self._parts = folder, frozenset(parts)
        self.every_steps, self.max_share = 1, 0.0

    @property
    def found(self) -> bool:
        """As the first process says."""
        return bool(self._parts)

    def restore(self, part: str = "training") -> State | None:
        """See `Resume`."""
        return super().restore(part) if self._path(part).name in self._parts else None

    def save_now(self, state: State, part: str = "training") -> None:
        """The first process does."""

    def write_note(self, name: str, text: str) -> None:
        """The first process does."""

    def clear(self, *, keep: Path | None = None) -> None:
        """The first process does."""

    def discard(self) -> None:
        """The first process does."""


@contextmanager
def held_key(root: Path, stage: str, key: str) -> Iterator[str]:
    """Lock the folder of a state, so that no other process uses or removes it.

    Yields:
        The key; or, while another execution with the same inputs holds it (as two experiments may), the key with the
        lowest free number behind it.
    """
    for number in count():
        name = f"{key}-{number}" if number else key
        descriptor = _hold(root / FOLDER / stage / name)
        if descriptor is None:
            continue
        try:
            yield name
        finally:
            os.close(descriptor)
        return


def _hold(folder: Path) -> int | None:
    """The descriptor of the folder, created if missing, once it is locked; None when another process holds it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # it was removed just now
            continue
        if not try_lock_open(descriptor):
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == folder.stat().st_ino:
                return descriptor
        os.close(descriptor)


def _remove_unheld(folder: Path) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if try_lock_open(descriptor):
                shutil.rmtree(folder)
        finally:
            os.close(descriptor)
