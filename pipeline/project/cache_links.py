"""DVC's cache of links: whoever writes into a file that is one, writes into the cache. Found before a stage reads it.

DVC takes a read-only file of its cache for what its name says, so it would go on with the change under the old hash.
Read-only does not stop root, who works in most containers.
"""

import configparser
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.project.hashing import content_hash

STAMP = Path(".state/cache_checked")
"""Its time is that of the last look."""
_FOLDERS = ("artifacts", "data", "reports")
_MARGIN_SECONDS = 2.0
"""For clocks of network disks, and disks that count whole seconds."""


def check_cache(root: Path, home: Path) -> None:
    """Hash what of the cache was written since the last look, and compare it with its names.

    Args:
        root: of the project, or of an experiment in a folder of its own.
        home: of the project, which keeps the time of the last look.

    Raises:
        PipelineError: a file was changed through a link; the message names it, and what to do.
    """
    stamp, began = home / STAMP, time.time()
    since = stamp.stat().st_mtime - _MARGIN_SECONDS if stamp.exists() else 0.0
    broken = [file for file in _written_since(_cache_folder(root), since) if content_hash(file) != _hash_in_name(file)]
    if broken:
        raise PipelineError(_told(broken, root))
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.touch()
    os.utime(stamp, (began, began))  # what is written meanwhile is looked at the next time


def _cache_folder(root: Path) -> Path:
    """As the project's configuration says, without DVC, whose import takes longer than the look."""
    found = root / ".dvc/cache"
    for name in ("config", "config.local"):
        config = configparser.ConfigParser(strict=False, interpolation=None)
        config.read(root / ".dvc" / name)
        if config.has_option("cache", "dir"):
            found = root / ".dvc" / config.get("cache", "dir").strip("\"' ")
    return found / "files/md5"


def _written_since(cache: Path, since: float) -> Iterator[Path]:
    for file in sorted(cache.glob("[0-9a-f][0-9a-f]/*")):
        # a listing of a folder is never a link; what has another suffix DVC is still writing
        if not file.suffix and file.is_file() and file.stat().st_mtime > since:
            yield file


def _hash_in_name(file: Path) -> str:
    return file.parent.name + file.name


def _told(broken: Sequence[Path], root: Path) -> str:
    inodes = {file.stat().st_ino for file in broken}
    files = (file for folder in _FOLDERS for file in sorted((root / folder).rglob("*")) if file.is_file())
    linked = [file.relative_to(root).as_posix() for file in files if file.stat().st_ino in inodes]
    names = " ".join(linked) or "a file of DVC's cache"
    places = " ".join(os.path.relpath(file, root) for file in broken)
    return (
        f"{names}: changed in place, and with it DVC's cache, of which it is a link ({places}); the old content is in "
        f"neither any more. What a stage wrote: `rm -f {names} {places}`, and `dvc repro` builds it again. Data of "
        f"yours: `dvc unprotect {names}`, `rm -f {places}` and `dvc add {names}` keep the change; `dvc pull` brings "
        "the old version, where a remote has it. `dvc unprotect` a file before you edit it."
    )
