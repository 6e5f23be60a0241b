"""Finds files of DVC's cache that were changed through a link, before a stage reads them.

Data and outputs are links into DVC's cache, so whoever edits one in place edits the cache. DVC does not hash read-only
files of its cache again, and would go on with the change under the old hash. Root, the user in most containers, can
write to read-only files.
"""

import configparser
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.project.hashing import content_hash

STAMP = Path(".state/cache_checked")
"""An empty file whose modification time is that of the last check."""
_FOLDERS = ("artifacts", "data", "reports")
_MARGIN_SECONDS = 2.0
"""Allowance for clocks of network disks, and for disks that store whole seconds."""


def check_cache(root: Path, home: Path) -> None:
    """Hash the files of the cache that were written since the last check, and compare each hash with the file's name.

    Args:
        root: of the project, or of an experiment in a folder of its own.
        home: of the project, which keeps the time of the last check.

    Raises:
        PipelineError: a file was changed through a link; the message names it and says what to do.
    """
    stamp, began = home / STAMP, time.time()
    since = stamp.stat().st_mtime - _MARGIN_SECONDS if stamp.exists() else 0.0
    broken = [file for file in _written_since(_cache_folder(root), since) if content_hash(file) != _hash_in_name(file)]
    if broken:
        raise PipelineError(_told(broken, root))
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.touch()
    os.utime(stamp, (began, began))  # what is written meanwhile is checked the next time


def _cache_folder(root: Path) -> Path:
    """As the project's configuration says, read without DVC, whose import takes longer than the check."""
    folder = root / ".dvc/cache"
    for name in ("config", "config.local"):
        config = configparser.ConfigParser(strict=False, interpolation=None)
        config.read(root / ".dvc" / name)
        if config.has_option("cache", "dir"):
            folder = root / ".dvc" / config.get("cache", "dir").strip("\"' ")
    return folder / "files/md5"


def _written_since(cache: Path, since: float) -> Iterator[Path]:
    for file in sorted(cache.glob("[0-9a-f][0-9a-f]/*")):
        # with a suffix are listings of folders (.dir), which are never linked, and files that DVC is still writing
        if not file.suffix and file.is_file() and file.stat().st_mtime > since:
            yield file


def _hash_in_name(file: Path) -> str:
    return file.parent.name + file.name


def _told(broken: Sequence[Path], root: Path) -> str:
    inodes = {file.stat().st_ino for file in broken}
    files = (file for folder in _FOLDERS for file in sorted((root / folder).rglob("*")) if file.is_file())
    linked = [file.relative_to(root).as_posix() for file in files if file.stat().st_ino in inodes]
    names = " ".join(linked) or "a file of DVC's cache"
    cached = " ".join(os.path.relpath(file, root) for file in broken)
    return (
        f"{names}: changed in place, and with it DVC's cache, of which it is a link ({cached}); the old content is in "
        f"neither any more. If a stage wrote it: `rm -f {names} {cached}`, and `dvc repro` builds it again. If it is "
        f"your data: `dvc unprotect {names}`, `rm -f {cached}` and `dvc add {names}` keep the change; `dvc pull` "
        "brings the old version back, if a remote has it. Run `dvc unprotect` on a file before you edit it."
    )
