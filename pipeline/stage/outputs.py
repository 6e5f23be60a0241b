"""Outputs of a stage are written in a scratch folder and moved into place when the stage has succeeded."""

import shutil
from pathlib import Path

from pipeline.errors import PipelineError


class StagedOutputs:
    """Collects the outputs of one stage in a scratch folder on the same disk."""

    def __init__(self, root: Path, scratch: Path, declared: list[Path], *, keep: bool = False) -> None:
        """Empty the scratch folder; with `keep`, leave in it what the execution wrote that this one resumes."""
        self._root = root
        self._scratch = scratch
        self._declared = declared
        if not keep:
            self.discard()

    def path(self, out: str) -> Path:
        """Where to write the declared output `out`, or a file inside it, for now; the parent folder exists.

        Raises:
            PipelineError: dvc.yaml does not declare it, so DVC would not track it.
        """
        owner = next((declared for declared in self._declared if Path(out).is_relative_to(declared)), None)
        if owner is None:
            raise PipelineError(f"dvc.yaml declares no output {out!r} for this stage; it has {_names(self._declared)}")
        target = self._scratch / out
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def publish(self) -> None:
        """Move every output into place.

        Raises:
            PipelineError: a declared output was not written.
        """
        missing = [out for out in self._declared if not (self._scratch / out).exists()]
        if missing:
            raise PipelineError(f"the stage ended without writing {_names(missing)}")
        for out in self._declared:
            self._open_to_readers(self._scratch / out)
            target = self._root / out
            if target.is_dir():
                shutil.rmtree(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(self._scratch / out, target)  # a rename, unless another disk is mounted below the project
        self.discard()

    def _open_to_readers(self, out: Path) -> None:
        """Give files the mode of the user's umask: safetensors writes weights that only their owner can read.

        A hard link, such as to a file in DVC's cache, keeps its mode, which is that of the other file, too.
        """
        usual = self._scratch.stat().st_mode & 0o666
        for file in (out, *out.rglob("*")):
            if file.is_file() and not file.is_symlink() and file.stat().st_nlink == 1:
                file.chmod(file.stat().st_mode | usual)

    def set_aside(self, folder: Path) -> Path | None:
        """Move what was written to `folder`, replacing what is there, and return it; None if nothing was written."""
        shutil.rmtree(folder, ignore_errors=True)
        if not any(path.is_file() for path in self._scratch.rglob("*")):
            return None
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._scratch.replace(folder)
        return folder

    def discard(self) -> None:
        """Remove the scratch folder."""
        shutil.rmtree(self._scratch, ignore_errors=True)


def require_disk_space(folder: Path, needed_bytes: int, *, purpose: str) -> None:
    """Stop before hours of work if their result would not fit on the disk.

    Raises:
        PipelineError: with the bytes that are needed and those that are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise PipelineError(
            f"{purpose} needs {needed_bytes / 2**20:,.0f} MiB, but the disk of {folder.resolve()} has only "
            f"{free / 2**20:,.0f} MiB free. Free some space (`make gc` says what of DVC's cache nothing needs) and run "
            "again."
        )


def _names(paths: list[Path]) -> str:
    return ", ".join(path.as_posix() for path in paths) or "none"
